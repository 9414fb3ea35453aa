"""What a pod asks for in all: the sums that limits, quotas and the scheduler count. Pure.

Containers run together, so they add up; init containers run one after the other before them, so the greatest counts,
but one that is restarted always (a sidecar) goes on running beside all that follow.

Source: component-helpers/resource (PodRequests, PodLimits).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from controlplane.api import meta, quantity
from controlplane.api.meta import Obj, View

Amounts = dict[str, Fraction]
# What may be said for the pod as a whole (spec.resources).
_POD_LEVEL = ("cpu", "memory")


def parsed(amounts: View | None) -> Amounts:
    """Quantities as numbers; what is none is left out."""
    return {
        name: quantity.parse(value)
        for name, value in (amounts or {}).items()
        if quantity.is_valid(value)
    }


def totals(
    spec: View, field: str, effective: Callable[[View, Amounts], Amounts] | None = None
) -> Amounts:
    """The pod's `requests` or `limits` by resource name, without overhead.

    `effective` turns what a container that goes on running asks for into what counts.
    """
    sums: Amounts = {}
    for container in spec.get("containers") or ():
        own = _of(container, field)
        _add(sums, own if effective is None else effective(container, own))
    sidecars: Amounts = {}
    greatest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, field)
        if effective is not None and container.get("restartPolicy") == "Always":
            own = effective(container, own)
        if container.get("restartPolicy") == "Always":
            _add(sums, own)
            _add(sidecars, own)
            at_once = dict(sidecars)
        else:
            at_once = dict(own)
            _add(at_once, sidecars)
        _raise(greatest, at_once)
    _raise(sums, greatest)
    for name, amount in parsed((spec.get("resources") or {}).get(field)).items():
        if is_pod_level(name):
            sums[name] = amount
    return sums


def is_pod_level(name: str) -> bool:
    """Whether the resource may be asked for by a pod as a whole."""
    return name in _POD_LEVEL or name.startswith("hugepages-")


def charged(pod: Obj, field: str) -> Amounts:
    """The pod's `requests` or `limits` with overhead, and with what a resize has not given back yet.

    Of what a running container is said to want, was promised and has, the greatest counts; what it is said to want
    does not count while its node says that it can never have it.
    """
    status = meta.status(pod)
    is_infeasible = any(
        condition.get("type") == "PodResizePending" and condition.get("reason") == "Infeasible"
        for condition in status.get("conditions") or ()
    )
    rows = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    had = {row.get("name"): row for row in rows if row.get("resources") is not None}

    def effective(container: View, wanted: Amounts) -> Amounts:
        row = had.get(container.get("name"))
        if row is None:
            return wanted
        result = {} if is_infeasible else dict(wanted)
        _raise(result, parsed(row["resources"].get(field)))
        if field == "requests":
            _raise(result, parsed(row.get("allocatedResources")))
        return result

    spec = meta.spec(pod)
    sums = totals(spec, field, effective)
    for name, amount in parsed(spec.get("overhead")).items():
        if field == "requests" or sums.get(name):
            sums[name] = sums.get(name, Fraction(0)) + amount
    return sums


def _of(container: View, field: str) -> Amounts:
    return parsed((container.get("resources") or {}).get(field))


def _add(target: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        target[name] = target.get(name, Fraction(0)) + amount


def _raise(target: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        target[name] = max(target.get(name, Fraction(0)), amount)
