"""Approves the requests of nodes for their own client certificates."""
