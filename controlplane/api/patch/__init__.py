"""The four patch types as pure functions (live, patch, schema) -> new, a file each."""
