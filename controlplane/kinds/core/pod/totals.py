"""What a pod asks for in all: the sums that limits, quotas and the scheduler count. Pure.

Containers run together, so they add up; init containers run one after the other before them, so the greatest counts,
but one that is restarted always (a sidecar) goes on running beside all that follow.

Source: component-helpers/resource (PodRequests, PodLimits).
"""

from __future__ import annotations

from fractions import Fraction

from controlplane.api import quantity
from controlplane.api.meta import View

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


def totals(spec: View, field: str) -> Amounts:
    """The pod's `requests` or `limits` by resource name, without overhead."""
    sums: Amounts = {}
    for container in spec.get("containers") or ():
        _add(sums, _of(container, field))
    sidecars: Amounts = {}
    greatest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, field)
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
        if name in _POD_LEVEL or name.startswith("hugepages-"):
            sums[name] = amount
    return sums


def _of(container: View, field: str) -> Amounts:
    return parsed((container.get("resources") or {}).get(field))


def _add(target: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        target[name] = target.get(name, Fraction(0)) + amount


def _raise(target: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        target[name] = max(target.get(name, Fraction(0)), amount)
