"""What others read of a pod, with one answer each."""

from __future__ import annotations

from fractions import Fraction

from controlplane.api import conditions, quantity
from controlplane.api.meta import Obj, View

_QOS_RESOURCES = ("cpu", "memory")


def is_ended(pod: View) -> bool:
    """Whether the pod's containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def claims_of(pod: View) -> list[str]:
    """The names of the claims that a pod uses: those it names, and those made for its ephemeral volumes."""
    found = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim is not None:
            found.append(str(claim.get("claimName") or ""))
        elif volume.get("ephemeral") is not None:
            found.append(f"{pod['metadata']['name']}-{volume.get('name') or ''}")
    return found


def is_sidecar(container: View) -> bool:
    """Whether an init container goes on running beside those that follow."""
    return container.get("restartPolicy") == "Always"


def running_containers(spec: View) -> list[Obj]:
    """The containers that run beside each other: the containers proper, and sidecars."""
    sidecars = [one for one in spec.get("initContainers") or () if is_sidecar(one)]
    return [*(spec.get("containers") or ()), *sidecars]


def is_ready(pod: View) -> bool:
    """Whether the condition Ready is True."""
    return conditions.is_true(pod, "Ready")


def qos_class(spec: View) -> str:
    """Guaranteed, Burstable or BestEffort, by what a PodSpec asks for.

    As upstream's ComputePodQOS: only cpu and memory count, zero is as good as nothing, and resources of the pod as a
    whole, when given, decide alone. Guaranteed means that every container limits both and asks for just as much.
    """
    whole = spec.get("resources")
    if whole:
        rows = [whole]
    else:
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        rows = [container.get("resources") or {} for container in containers]
    requests: dict[str, Fraction] = {}
    limits: dict[str, Fraction] = {}
    is_guaranteed = True
    for row in rows:
        limited = row.get("limits") or {}
        # What is limited and not asked for is asked for as much; stored pods have it written out.
        wanted = {**limited, **(row.get("requests") or {})}
        for total, found in ((requests, _positive(wanted)), (limits, _positive(limited))):
            for name, value in found.items():
                total[name] = total.get(name, Fraction(0)) + value
        is_guaranteed = is_guaranteed and len(_positive(limited)) == len(_QOS_RESOURCES)
    if not requests and not limits:
        return "BestEffort"
    if is_guaranteed and all(limits.get(name) == value for name, value in requests.items()):
        return "Guaranteed" if len(requests) == len(limits) else "Burstable"
    return "Burstable"


def _positive(resources: View) -> dict[str, Fraction]:
    found = {}
    for name in _QOS_RESOURCES:
        value = resources.get(name)
        if value is not None and quantity.is_valid(value):
            number = quantity.parse(value)
            if number > 0:
                found[name] = number
    return found
