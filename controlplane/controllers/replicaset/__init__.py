"""ReplicaSets: the right number of Pods, and which to delete first."""
