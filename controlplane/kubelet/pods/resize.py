"""Resources that change while a pod runs: what was granted, what containers have, what is still to be done. Pure.

The spec says what is wished, `allocated` what the node has granted, `actual` what a running container was given.
Source: pkg/kubelet/allocation, pkg/kubelet/kuberuntime (computePodResizeAction).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from controlplane.api import quantity
from controlplane.api.meta import View

Resources = Mapping[str, Any]
"""`requests` and `limits` of one container."""

_KEYS = ("initContainers", "containers")
_FELT = (("limits", "memory"), ("limits", "cpu"), ("requests", "cpu"))
"""What a container feels; a request of memory is only counted."""


@dataclass(frozen=True, slots=True)
class ResizeCondition:
    """PodResizePending or PodResizeInProgress, as shown in the pod's status."""

    kind: str
    reason: str = ""
    message: str = ""


def resources_of(pod: View) -> dict[str, Resources]:
    """Resources by container name."""
    return {
        str(container["name"]): _plain(container.get("resources") or {})
        for key in _KEYS
        for container in pod["spec"].get(key) or ()
    }


def with_resources(pod: View, resources: Mapping[str, Resources]) -> dict[str, Any]:
    """The pod as if its spec wished these; containers that are not named keep their own."""
    spec = dict(pod["spec"])
    for key in _KEYS:
        if spec.get(key):
            spec[key] = [
                {
                    **one,
                    "resources": {**(one.get("resources") or {}), **_whole(resources[one["name"]])},
                }
                if one["name"] in resources
                else one
                for one in spec[key]
            ]
    return {**pod, "spec": spec}


def same(one: Mapping[str, Resources], other: Mapping[str, Resources]) -> bool:
    """Whether they mean the same amounts, however these are written."""
    return one.keys() == other.keys() and all(_parsed(one[n]) == _parsed(other[n]) for n in one)


def felt_changes(actual: Resources, wanted: Resources) -> set[str]:
    """Names of the resources in which a running container would feel the difference."""
    have, want = _parsed(actual), _parsed(wanted)
    return {name for kind, name in _FELT if have.get((kind, name)) != want.get((kind, name))}


def needs_restart(container: View, changes: set[str]) -> bool:
    """Whether the container is to be restarted for these changes, by its `resizePolicy`."""
    return any(
        policy.get("restartPolicy") == "RestartContainer" and policy.get("resourceName") in changes
        for policy in container.get("resizePolicy") or ()
    )


def summary(pod: View, error: str = "") -> str:
    """What events say of a resize."""
    said: dict[str, Any] = {}
    for key in _KEYS:
        rows = [
            {"name": one["name"], "resources": one.get("resources") or {}}
            for one in pod["spec"].get(key) or ()
        ]
        if rows:
            said[key] = rows
    said["generation"] = int(pod["metadata"].get("generation") or 0)
    if error:
        said["error"] = error
    return json.dumps(said, separators=(",", ":"))


def _plain(resources: Resources) -> Resources:
    return {key: dict(resources[key]) for key in ("limits", "requests") if resources.get(key)}


def _whole(resources: Resources) -> Resources:
    return {key: dict(resources.get(key) or {}) for key in ("limits", "requests")}


def _parsed(resources: Resources) -> dict[tuple[str, str], Fraction]:
    return {
        (kind, name): quantity.parse(amount)
        for kind in ("limits", "requests")
        for name, amount in (resources.get(kind) or {}).items()
    }
