"""Kinds of the group networking.k8s.io: ways into the cluster and within it, and the addresses of services."""
