"""The only list of runtimes, and the choice among them: by trying, never by reading versions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.kubelet.runtimes.interface import ContainerRuntime
from controlplane.kubelet.runtimes.namespaces.runtime import NamespaceRuntime
from controlplane.kubelet.runtimes.namespaces.trial import refusal as namespaces_refusal
from controlplane.kubelet.runtimes.process.runtime import ProcessRuntime
from kvstore.base.clock import Clock

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What a runtime is made of."""

    root: Path
    clock: Clock
    base_env: Mapping[str, str]
    """What containers inherit that run on the host's own programs."""
    pod_cidr: str = ""
    """The node's range of addresses; "" gives pods a loopback alone, where they have a network of their own."""
    fabric: Path | None = None
    """A folder that nodes of one machine share: pods of all of them reach each other. None for a node alone."""
    orphan_seconds: float = 30.0
    """How long containers that outlive the kubelet wait for the next one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A runtime there is."""

    name: str
    refusal: Callable[[RuntimeOptions], str]
    """Tries it for a moment: "" if it works here, else why not and what would help."""
    build: Callable[[RuntimeOptions], ContainerRuntime]


def _process(options: RuntimeOptions) -> ContainerRuntime:
    return ProcessRuntime(options.root, options.clock, options.base_env)


def _namespaces(options: RuntimeOptions) -> ContainerRuntime:
    return NamespaceRuntime(
        options.root,
        options.clock,
        options.base_env,
        options.pod_cidr,
        options.orphan_seconds,
        options.fabric,
    )


OFFERS: Sequence[Offer] = (
    Offer("namespaces", lambda options: namespaces_refusal(options.root), _namespaces),
    Offer("process", lambda options: "", _process),
)
"""In the order in which `auto` tries them."""


class NoRuntimeError(Exception):
    """The runtime that was asked for does not work here; the message says why."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime of a node, and why better ones were left out."""

    runtime: ContainerRuntime
    refusals: Mapping[str, str]


def choose(wanted: str, options: RuntimeOptions, offers: Sequence[Offer] = OFFERS) -> Choice:
    """The runtime named, or with `auto` the first that works here. Raises NoRuntimeError."""
    refusals: dict[str, str] = {}
    for offer in offers:
        if wanted not in (AUTO, offer.name):
            continue
        refusal = offer.refusal(options)
        if not refusal:
            return Choice(offer.build(options), refusals)
        refusals[offer.name] = refusal
    if not refusals:
        known = ", ".join((AUTO, *(offer.name for offer in offers)))
        raise NoRuntimeError(f"unknown container runtime {wanted!r}: it is one of {known}")
    told = "; ".join(f"{name}: {why}" for name, why in refusals.items())
    raise NoRuntimeError(f"no container runtime works here: {told}")
