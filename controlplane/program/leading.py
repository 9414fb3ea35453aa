"""Options, by Kubernetes' names, of a program of which several run and one leads."""

import random
import socket
from dataclasses import dataclass
from typing import Literal

from controlplane.api import names
from controlplane.client.leader import LeaderElector
from controlplane.client.rest import RestClient
from controlplane.program.options import Address, option
from kvstore.base.clock import Clock

LEASE_NAMESPACE = "kube-system"
_JITTER = 1.2
"""client-go's factor between a retry period and the shortest deadline that leaves room for one retry."""


@dataclass(frozen=True, slots=True)
class LeadingConfig:
    """How to reach the API servers, who this instance is, and the times of its lease."""

    kubeconfig: str = option(help="how to reach and authenticate to the API server")
    servers: tuple[str, ...] = option(
        (),
        "API servers in order of preference, in place of the kubeconfig's",
        flag="--master",
        metavar="URL[,URL...]",
    )
    name: str = option("", "identity of this instance; default host name and a random id")
    health_address: Address | None = option(
        None, "where probes are answered", flag="--healthz-bind-address"
    )
    leader_elect: bool = option(True, "false: work at once, for a program that runs only once")
    lease_duration_seconds: float = option(
        15.0,
        "how long a leader counts after its last renewal",
        flag="--leader-elect-lease-duration",
    )
    renew_deadline_seconds: float = option(
        10.0, "how long a leader tries to renew", flag="--leader-elect-renew-deadline"
    )
    retry_period_seconds: float = option(
        2.0, "how often the lease is renewed or tried", flag="--leader-elect-retry-period"
    )
    log_level: Literal["debug", "info", "warning", "error"] = option("info", "")

    def problems(self) -> list[str]:
        """What is wrong with the three lease times together."""
        found = []
        if not self.lease_duration_seconds > self.renew_deadline_seconds:
            found.append("--leader-elect-lease-duration must be greater than the renew deadline")
        if not self.renew_deadline_seconds > _JITTER * self.retry_period_seconds:
            found.append("--leader-elect-renew-deadline must be greater than 1.2 retry periods")
        if self.retry_period_seconds <= 0:
            found.append("--leader-elect-retry-period must be greater than zero")
        return found

    def elector(
        self, client: RestClient, component: str, clock: Clock, rng: random.Random
    ) -> LeaderElector:
        """The elector for `component`'s Lease."""
        return LeaderElector(
            client,
            LEASE_NAMESPACE,
            component,
            self.name or f"{socket.gethostname()}_{names.generate_uid(rng)}",
            clock,
            lease_duration_seconds=self.lease_duration_seconds,
            renew_deadline_seconds=self.renew_deadline_seconds,
            retry_period_seconds=self.retry_period_seconds,
            rng=rng,
        )
