"""What the subresources ephemeralcontainers and resize may change of a pod: one list, and amounts of cpu and memory.

Source: pkg/registry/core/pod/strategy.go, pkg/apis/core/validation/validation.go (ValidatePodResize and its like).
"""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Part
from controlplane.api.meta import Obj, View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import difference
from controlplane.kinds.core.pod.rules.annotations import validate_annotations
from controlplane.kinds.core.pod.strategy import drop_disabled
from controlplane.kinds.core.pod.validation import validate_pod_anyway
from controlplane.kinds.core.pod.views import qos_class

_MIRROR = "kubernetes.io/config.mirror"
_KEPT_METADATA = (
    "deletionTimestamp",
    "generation",
    "selfLink",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
)
_LISTS = ("containers", "initContainers")
_RESIZED = ("resources", "resizePolicy")
_AMOUNTS = ("cpu", "memory")


def _put_back(obj: Obj, live: Obj, spec: Obj) -> None:
    """Leave of a change no more than a new spec."""
    obj["spec"] = spec
    if "status" in live:
        obj["status"] = live["status"]
    metadata, old = meta.ensure_metadata(obj), meta.metadata(live)
    for key in _KEPT_METADATA:
        if key in old:
            metadata[key] = old[key]
        else:
            metadata.pop(key, None)


def _of_ephemeral(obj: Obj, live: Obj) -> None:
    wanted = meta.spec(obj).get("ephemeralContainers")
    spec = {key: value for key, value in meta.spec(live).items() if key != "ephemeralContainers"}
    if wanted:
        spec["ephemeralContainers"] = wanted
    _put_back(obj, live, spec)
    drop_disabled(spec)


def _validate_ephemeral(new: Obj, old: Obj) -> list[Cause]:
    causes = validate_pod_anyway(new) + validate_annotations(new)
    if _MIRROR in meta.annotations(old):
        return [fields.forbidden("", "static pods do not support ephemeral containers")]
    path = "spec.ephemeralContainers"
    rows = {row.get("name"): row for row in meta.spec(new).get("ephemeralContainers") or ()}
    for before in meta.spec(old).get("ephemeralContainers") or ():
        name = before.get("name")
        after = rows.get(name)
        which = f'existing ephemeral containers "{name}" may not be'
        if after is None:
            causes.append(fields.forbidden(path, f"{which} removed\n"))
        elif not is_same(before, after):
            causes.append(fields.forbidden(path, f"{which} changed\n{difference(before, after)}"))
    return causes


def _of_resize(obj: Obj, live: Obj) -> None:
    wanted, before = meta.spec(obj), meta.spec(live)
    if any(len(wanted.get(key) or ()) != len(before.get(key) or ()) for key in _LISTS):
        # The rules will tell.
        return
    spec = dict(before)
    _take(spec, wanted, "resources")
    for key in _LISTS:
        if before.get(key):
            spec[key] = _resized(wanted[key], before[key])
    _put_back(obj, live, spec)
    drop_disabled(spec)


def _resized(wanted: list[Obj], before: list[Obj]) -> list[Obj]:
    if [row.get("name") for row in wanted] != [row.get("name") for row in before]:
        return wanted
    rows = [dict(row) for row in before]
    for row, given in zip(rows, wanted, strict=True):
        for key in _RESIZED:
            _take(row, given, key)
    return rows


def _take(target: Obj, source: View, key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _validate_resize(new: Obj, old: Obj) -> list[Cause]:
    causes = validate_pod_anyway(new)
    fresh, before = meta.spec(new), meta.spec(old)
    if _MIRROR in meta.annotations(old):
        return [fields.forbidden("", "static pods cannot be resized")]
    if (before.get("os") or {}).get("name") == "windows":
        return [fields.forbidden("", "windows pods cannot be resized")]
    status = meta.status(old)
    quality = status.get("qosClass") or qos_class(before)
    if quality != qos_class(fresh):
        shown = meta.status(new).get("qosClass") or ""
        detail = "Pod QOS Class may not change as a result of resizing"
        causes.append(fields.invalid("spec", shown, detail))
    if not _node_can(status):
        detail = "Pod running on node without support for resize"
        causes.append(fields.forbidden("spec", detail))
    causes += _of_the_whole(fresh.get("resources"), before.get("resources"))
    found = _order(fresh, before)
    if found:
        return causes + found
    for key in ("initContainers", "containers"):
        rows = zip(fresh.get(key) or (), before.get(key) or (), strict=True)
        for index, (row, one) in enumerate(rows):
            if key == "containers" or _restarts(one):
                path = f"spec.{key}[{index}].resources"
                causes += _removed(path, row.get("resources"), one.get("resources"), "")
    return causes + _only_amounts(fresh, before)


def _node_can(status: View) -> bool:
    """A node that tells the resources of what runs can change them; without anything running nobody knows."""
    for row in status.get("containerStatuses") or ():
        if (row.get("state") or {}).get("running") is not None:
            return row.get("resources") is not None
    return True


def _restarts(container: View) -> bool:
    return container.get("restartPolicy") == "Always"


def _of_the_whole(fresh: View | None, before: View | None) -> list[Cause]:
    if before is not None and fresh is None:
        return [fields.forbidden("spec.resources", "pod-level resources cannot be removed")]
    causes = _removed("spec.resources", fresh, before, "pod-level ")
    if not is_same(_other_amounts(fresh), _other_amounts(before)):
        detail = "only cpu and memory resources are mutable at pod-level"
        causes.append(fields.forbidden("spec", detail))
    return causes


def _order(fresh: View, before: View) -> list[Cause]:
    causes: list[Cause] = []
    for key in _LISTS:
        new, old = fresh.get(key) or [], before.get(key) or []
        if len(new) != len(old):
            detail = f"{key} may not be added or removed on resize"
            causes.append(fields.forbidden(f"spec.{key}", detail))
            continue
        detail = f"{key} may not be renamed or reordered on resize"
        causes += [
            fields.forbidden(f"spec.{key}[{index}].name", detail)
            for index, row in enumerate(old)
            if new[index].get("name") != row.get("name")
        ]
    return causes


def _removed(path: str, fresh: View | None, before: View | None, of: str) -> list[Cause]:
    return [
        fields.forbidden(f"{path}.{key}", f"{of}resource {key} cannot be removed")
        for key in ("requests", "limits")
        if not set((before or {}).get(key) or ()) <= set((fresh or {}).get(key) or ())
    ]


def _other_amounts(resources: View | None) -> dict[str, Any]:
    """What may not change: everything but amounts of cpu and memory."""
    result = {key: value for key, value in (resources or {}).items() if value}
    for key in ("requests", "limits"):
        rows = result.pop(key, None) or {}
        others = {name: value for name, value in rows.items() if name not in _AMOUNTS}
        if others:
            result[key] = others
    return result


def _unresized(container: View) -> dict[str, Any]:
    return {**container, "resources": _other_amounts(container.get("resources"))}


def _only_amounts(fresh: View, before: View) -> list[Cause]:
    causes: list[Cause] = []
    for new, old in zip(fresh.get("containers") or (), before.get("containers") or (), strict=True):
        if not is_same(_unresized(new), _unresized(old)):
            detail = "only cpu and memory resources are mutable"
            causes.append(fields.forbidden("spec", detail))
    rows = zip(fresh.get("initContainers") or (), before.get("initContainers") or (), strict=True)
    for index, (new, old) in enumerate(rows):
        if not _restarts(new) and not is_same(new, old):
            detail = "resources for non-sidecar init containers are immutable"
            causes.append(fields.forbidden("spec", detail))
        elif _restarts(new) and not is_same(_unresized(new), _unresized(old)):
            detail = "only cpu and memory resources for init or sidecar containers are mutable"
            causes.append(fields.forbidden(f"spec.initContainers[{index}]", detail))
    return causes


PARTS = {
    "ephemeralcontainers": Part(_of_ephemeral, _validate_ephemeral),
    "resize": Part(_of_resize, _validate_resize),
}
