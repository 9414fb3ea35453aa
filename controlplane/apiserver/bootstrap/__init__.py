"""Objects that every cluster has, made when the server starts."""
