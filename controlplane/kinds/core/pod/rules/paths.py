"""Rules of file paths in a PodSpec."""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_backsteps(path: str, where: str) -> list[Cause]:
    """A path with a `..` element."""
    if ".." in path.split("/"):
        return [fields.invalid(where, path, "must not contain '..'")]
    return []


def descending(path: str, where: str) -> list[Cause]:
    """A path that is absolute or climbs."""
    causes = []
    if path.startswith("/"):
        causes.append(fields.invalid(where, path, "must be a relative path"))
    return causes + no_backsteps(path, where)


def local(path: str, where: str) -> list[Cause]:
    """A path in a volume that the kubelet writes: names beginning with `..` are its own."""
    causes = descending(path, where)
    if path.startswith("..") and not path.startswith("../"):
        causes.append(fields.invalid(where, path, "must not start with '..'"))
    return causes


def file_mode(mode: Any, where: str) -> list[Cause]:
    """Permission bits."""
    if mode is not None and not 0 <= mode <= 0o777:
        return [fields.invalid(where, mode, _MODE)]
    return []


def key_to_path(row: Any, where: str) -> list[Cause]:
    """A key of a ConfigMap or Secret, and the file it becomes."""
    causes = []
    path = row.get("path") or ""
    if not row.get("key"):
        causes.append(fields.required(f"{where}.key"))
    if not path:
        causes.append(fields.required(f"{where}.path"))
    causes += local(path, f"{where}.path")
    return causes + file_mode(row.get("mode"), f"{where}.mode")
