"""Bindings: the body of pods/binding; not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource

BINDINGS = Resource("", "v1", "Binding", "bindings", verbs=("create",))

KIND = Kind(BINDINGS)
