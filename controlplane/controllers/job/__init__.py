"""Jobs: Pods that run to their end, each counted once."""
