"""ReplicationControllers: what ReplicaSets were before they had set-based selectors."""
