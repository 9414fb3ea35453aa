"""Counts anew what each ResourceQuota's namespace uses."""
