"""Addresses of nodes and pods."""
