"""Requests and capacities as integers: cpu in milli-units, everything else in its own unit."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

from controlplane.api import quantity

Resources = dict[str, int]

# What a pod that asks for nothing is counted with when nodes are *scored*, so that such pods spread too.
SCORE_CPU_MILLI = 100
SCORE_MEMORY_BYTES = 200 * 1024 * 1024


def parse_resources(amounts: Mapping[str, Any] | None) -> Resources:
    """Integers of a ResourceList; rounded up, as a request must not shrink."""
    return {name: _whole(name == "cpu", str(text)) for name, text in (amounts or {}).items()}


@lru_cache(maxsize=8192)
def _whole(is_cpu: bool, text: str) -> int:
    """The integer of one amount; the same few texts come with every pod."""
    amount = Fraction(quantity.parse(text))
    return ceil(amount * 1000) if is_cpu else ceil(amount)


def add(into: Resources, other: Resources, sign: int = 1) -> None:
    """Add `other` to `into` in place; `sign=-1` takes away."""
    for name, amount in other.items():
        into[name] = into.get(name, 0) + sign * amount


def maximum(into: Resources, other: Resources) -> None:
    """Raise each amount of `into` to that of `other` in place."""
    for name, amount in other.items():
        into[name] = max(into.get(name, 0), amount)


def container_requests(container: Mapping[str, Any]) -> Resources:
    """What one container asks for; a limit without a request counts as the request."""
    resources = container.get("resources") or {}
    merged = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return parse_resources(merged)


def pod_requests(spec: Mapping[str, Any]) -> Resources:
    """The effective request of a pod.

    The larger of what its containers need together and what any step of its initialisation needs; an init container
    that restarts always stays running, so it counts in both.
    """
    total: Resources = {}
    for container in spec.get("containers") or ():
        add(total, container_requests(container))
    staying: Resources = {}
    peak: Resources = {}
    for container in spec.get("initContainers") or ():
        wanted = container_requests(container)
        if container.get("restartPolicy") == "Always":
            add(staying, wanted)
            maximum(peak, staying)
        else:
            step = dict(staying)
            add(step, wanted)
            maximum(peak, step)
    add(total, staying)
    maximum(total, peak)
    add(total, parse_resources(spec.get("overhead")))
    return {name: amount for name, amount in total.items() if amount}


def score_requests(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Cpu and memory for scoring: the request, or the stand-in for containers without one."""
    cpu = memory = 0
    containers: Iterable[Mapping[str, Any]] = spec.get("containers") or ()
    for container in containers:
        wanted = container_requests(container)
        cpu += wanted.get("cpu", SCORE_CPU_MILLI)
        memory += wanted.get("memory", SCORE_MEMORY_BYTES)
    return cpu, memory
