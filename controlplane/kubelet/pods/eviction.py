"""When a pod has used more of the node's disk than it may. Pure.

Source of the order and the messages: pkg/kubelet/eviction/eviction_manager.go (localStorageEviction).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.api import quantity
from controlplane.api.meta import View
from controlplane.kinds.core.pod.totals import totals
from controlplane.kubelet.volumes.plugins.empty_dir import in_memory

_STORAGE = "ephemeral-storage"
_CRITICAL_PRIORITY = 2_000_000_000
_EMPTY_DIR = "kubernetes.io~empty-dir"


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes by name."""

    volumes: Mapping[str, int] = field(default_factory=dict)
    containers: Mapping[str, int] = field(default_factory=dict)
    """What each wrote to its root and to its log."""


def is_limited(pod: View) -> bool:
    """Whether the pod's disk is to be measured at all."""
    return _STORAGE in totals(pod["spec"], "limits") or any(
        _size_limit(volume) is not None for volume in pod["spec"].get("volumes") or ()
    )


def is_critical(pod: View) -> bool:
    """Whether the node does not work without it."""
    return int(pod["spec"].get("priority") or 0) >= _CRITICAL_PRIORITY


def places(pod: View, directory: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The folders of each emptyDir and of each container, below the pod's own."""
    spec = pod["spec"]
    volumes = {
        str(volume["name"]): [str(directory / "volumes" / _EMPTY_DIR / volume["name"])]
        for volume in spec.get("volumes") or ()
        if volume.get("emptyDir") is not None
    }
    every = [*(spec.get("initContainers") or ()), *spec["containers"]]
    containers = {
        str(one["name"]): [str(directory / part / one["name"]) for part in ("containers", "logs")]
        for one in every
    }
    return volumes, containers


def excess(pod: View, usage: Usage) -> str | None:
    """The message of an eviction; None for a pod within its limits."""
    spec = pod["spec"]
    for volume in spec.get("volumes") or ():
        limit = _size_limit(volume)
        if limit is not None and usage.volumes.get(volume["name"], 0) > quantity.parse(limit):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
    total = totals(spec, "limits").get(_STORAGE)
    if total is not None:
        on_disk = [v["name"] for v in spec.get("volumes") or () if not in_memory(v)]
        used = sum(usage.containers.values())
        used += sum(usage.volumes.get(name, 0) for name in on_disk)
        if used > total:
            words = quantity.format(total, "binary")
            return (
                f"Pod ephemeral local storage usage exceeds the total limit of containers {words}. "
            )
    for container in spec["containers"]:
        limit = ((container.get("resources") or {}).get("limits") or {}).get(_STORAGE)
        if limit is not None and usage.containers.get(container["name"], 0) > quantity.parse(limit):
            name = container["name"]
            return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
    return None


def _size_limit(volume: View) -> str | None:
    limit = (volume.get("emptyDir") or {}).get("sizeLimit")
    return str(limit) if limit is not None and quantity.parse(str(limit)) > 0 else None
