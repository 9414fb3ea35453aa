"""Deletes requests for certificates that are of no more use."""
