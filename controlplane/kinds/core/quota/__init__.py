"""What a ResourceQuota counts of which object, and what it refuses. Pure."""
