"""Volumes that end only when no claim holds them."""
