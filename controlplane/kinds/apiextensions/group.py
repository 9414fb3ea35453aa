"""The kinds of the group apiextensions.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.apiextensions import custom_resource_definition

KINDS: tuple[Kind, ...] = (custom_resource_definition.KIND,)
