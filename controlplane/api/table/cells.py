"""Cells of `kubectl get` that many kinds share: pure functions (object, now) -> text or number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import meta, times
from controlplane.api.meta import Obj

Cell = Callable[[Obj, float], Any]
NONE = "<none>"


def name(obj: Obj, now: float) -> str:
    """metadata.name."""
    return meta.name(obj)


def age(obj: Obj, now: float) -> str:
    """Time since creation."""
    return times.age(meta.creation_timestamp(obj), now)


def field(path: str) -> Cell:
    """A cell with the text at a dotted path, empty when missing."""
    return lambda obj, now: str(meta.get_path(obj, path, ""))


def number(path: str) -> Cell:
    """A cell with the number at a dotted path, 0 when missing."""
    return lambda obj, now: int(meta.get_path(obj, path, 0))


def phase(obj: Obj, now: float) -> str:
    """status.phase."""
    return str(meta.status(obj).get("phase") or "")
