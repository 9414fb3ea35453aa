"""What of Services and policies cannot be had on this machine, for events on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.node import MACHINE_ADDRESS


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be said once of an object."""

    about: Obj
    reason: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """Tells what was said from what was not."""
        return meta.uid(self.about), self.reason


def notices(
    services: Iterable[Obj], policies: Iterable[Obj], nodes: Iterable[Obj]
) -> Iterator[Notice]:
    """All there is to be said."""
    for service in services:
        spec = meta.spec(service)
        if spec.get("clusterIP") != "None" and any(
            port.get("protocol") == "SCTP" for port in spec.get("ports") or ()
        ):
            text = "Ports of SCTP are not carried: pods are reached by it at their own addresses"
            yield Notice(service, "UnsupportedProtocol", text)
    shared = sorted(
        meta.name(node) for node in nodes if MACHINE_ADDRESS not in meta.annotations(node)
    )
    for policy in policies if shared else ():
        # Nodes whose pods are child processes have nothing that could enforce a policy, or say so.
        text = (
            f"Not enforced for pods of {', '.join(shared)}: pods there share the machine's network"
        )
        yield Notice(policy, "NotEnforced", text)
