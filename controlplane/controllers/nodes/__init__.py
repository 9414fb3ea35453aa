"""Node lifecycle: heartbeats, taints, and the eviction of Pods from nodes that do not answer."""
