"""Objects that every cluster has, as data."""
