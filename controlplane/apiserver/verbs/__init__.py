"""One file a verb, the same for all kinds."""
