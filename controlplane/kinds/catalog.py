"""All built-in kinds: the only list of groups."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.scheme import Scheme
from controlplane.kinds.apps import group as apps
from controlplane.kinds.coordination import group as coordination
from controlplane.kinds.core import group as core

BUILT_IN: tuple[Kind, ...] = (
    *core.KINDS,
    *apps.KINDS,
    *coordination.KINDS,
)

SCHEME = Scheme(BUILT_IN)
"""What every cluster serves. For composition roots and tests; the API server's own may be replaced while it runs."""
