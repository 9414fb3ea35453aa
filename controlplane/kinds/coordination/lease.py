"""Leases: who holds a role, and since when."""

from controlplane.api.resource import Resource

LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
