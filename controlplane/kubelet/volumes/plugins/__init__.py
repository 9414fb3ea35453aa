"""The volume types; none knows another."""
