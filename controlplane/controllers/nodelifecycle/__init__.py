"""Nodes that do not answer: conditions and taints."""
