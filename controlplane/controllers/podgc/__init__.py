"""Pods nobody will ever finish: on nodes that are gone, or too many that have ended."""
