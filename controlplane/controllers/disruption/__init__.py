"""PodDisruptionBudgets: how many Pods may be taken away now."""
