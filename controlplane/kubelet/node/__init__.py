"""The Node object and its heartbeat."""
