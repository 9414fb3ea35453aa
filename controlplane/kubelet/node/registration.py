"""The Node object of this machine: labels, capacity, system information, conditions. Pure but for `read_machine`."""

import os
import platform
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.times import to_rfc3339
from controlplane.kinds.core.node import MACHINE_ADDRESS

KUBELET_VERSION = "v1.36.0"
RUNTIME_VERSION = "0.1.0"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}

_CONDITIONS = (
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the node says of itself."""

    name: str
    ip: str
    port: int
    capacity: Mapping[str, str]
    pod_cidr: str = ""
    machine_address: str = ""
    """Where the node is reached from outside of the cluster's network, if that is not `ip`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)


def default_capacity(root: str, max_pods: int) -> dict[str, str]:
    """The whole machine; several nodes on one machine each claim all of it unless told otherwise."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 4 * 1024**3
    disk = shutil.disk_usage(root).total
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory // 1024}Ki",
        "ephemeral-storage": f"{disk // 1024}Ki",
        "pods": str(max_pods),
    }


def read_system_info(name: str, runtime: str) -> dict[str, str]:
    """Every field of NodeSystemInfo, with the runtime's name; clients refuse nodes that lack one."""
    machine = platform.machine()
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "bootID": _first_line("/proc/sys/kernel/random/boot_id") or str(uuid.uuid4()),
        "containerRuntimeVersion": f"{runtime}://{RUNTIME_VERSION}",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": KUBELET_VERSION,
        "kubeletVersion": KUBELET_VERSION,
        "machineID": uuid.uuid5(uuid.NAMESPACE_DNS, name).hex,
        "operatingSystem": platform.system().lower(),
        "osImage": _os_name(),
        "systemUUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
    }


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return f"{platform.system()} {platform.release()}"


def node_annotations(machine: Machine) -> dict[str, str]:
    """Where the machine itself reaches the node, if not at its address in the cluster's network."""
    outside = machine.machine_address
    return {MACHINE_ADDRESS: outside} if outside and outside != machine.ip else {}


def node_labels(machine: Machine) -> dict[str, str]:
    """The labels every node has, and its own."""
    system, architecture = machine.info["operatingSystem"], machine.info["architecture"]
    return {
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/os": system,
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": system,
        "beta.kubernetes.io/arch": architecture,
        **machine.labels,
    }


def node_object(machine: Machine, now: float) -> dict[str, Any]:
    """The object to create."""
    spec = {"podCIDR": machine.pod_cidr, "podCIDRs": [machine.pod_cidr]} if machine.pod_cidr else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": machine.name,
            "labels": node_labels(machine),
            "annotations": node_annotations(machine),
        },
        "spec": spec,
        "status": node_status(machine, {}, now),
    }


def node_status(machine: Machine, old: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The status to patch in; conditions keep the time they last changed."""
    known = {entry.get("type"): entry for entry in old.get("conditions") or ()}
    stamp = to_rfc3339(now)
    conditions = []
    for kind, state, reason, message in _CONDITIONS:
        before = known.get(kind) or {}
        since = before.get("lastTransitionTime") if before.get("status") == state else None
        conditions.append(
            {
                "type": kind,
                "status": state,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": since or stamp,
            }
        )
    return {
        "capacity": dict(machine.capacity),
        "allocatable": dict(machine.capacity),
        "addresses": [
            {"type": "InternalIP", "address": machine.ip},
            {"type": "Hostname", "address": machine.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": machine.port}},
        "nodeInfo": dict(machine.info),
        "images": [{"names": [name], "sizeBytes": 0} for name in machine.images],
        "conditions": conditions,
    }


def needs_repair(node: Mapping[str, Any], machine: Machine) -> bool:
    """Whether the API server shows this node as something it is not, e.g. unknown after silence."""
    status = node.get("status") or {}
    known = {entry.get("type"): entry.get("status") for entry in status.get("conditions") or ()}
    if any(known.get(kind) != state for kind, state, _, _ in _CONDITIONS):
        return True
    return (status.get("capacity") or {}) != dict(machine.capacity)
