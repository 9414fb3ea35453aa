"""Kinds of the group discovery.k8s.io: where the endpoints of services are."""
