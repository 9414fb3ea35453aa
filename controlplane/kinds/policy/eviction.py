"""Evictions: the body of pods/eviction; not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource

EVICTIONS = Resource("policy", "v1", "Eviction", "evictions", verbs=("create",))

KIND = Kind(EVICTIONS)
