"""Kinds of the group apps: workloads made of equal pods."""
