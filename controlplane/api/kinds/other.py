"""Rows of the small groups: coordination.k8s.io and events.k8s.io."""

from __future__ import annotations

from controlplane.api.resource import Resource

ROWS = (Resource("coordination.k8s.io", "v1", "Lease", "leases"),)
