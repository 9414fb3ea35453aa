"""Kinds of the legacy group, v1."""
