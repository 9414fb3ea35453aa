"""Images by name, and what each runs."""
