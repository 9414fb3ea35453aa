"""Flags of a program of which several run and one leads, by Kubernetes' names: the scheduler, the controller manager.

`add_arguments` puts them on a parser, `from_options` reads them back. Mistakes end the program through the parser, with
its usage and exit code 2.
"""

import argparse
import random
import socket
import uuid
from dataclasses import dataclass

from controlplane.client.leader import LeaderElector
from controlplane.client.rest import RestClient
from controlplane.program.run import parse_address
from kvstore.base.clock import Clock
from kvstore.base.durations import parse_duration

LEASE_NAMESPACE = "kube-system"
_JITTER = 1.2
"""client-go's factor between a retry period and the shortest deadline that leaves room for one retry."""


@dataclass(frozen=True, slots=True)
class LeadingConfig:
    """How to reach the API servers, who this instance is, and the times of its lease. Durations are seconds."""

    kubeconfig: str
    servers: tuple[str, ...] = ()
    """API servers in order of preference; empty means the one in the kubeconfig."""
    name: str = ""
    """Identity in the Lease; must differ between replicas."""
    health_address: tuple[str, int] | None = None
    leader_elect: bool = True
    """False: work at once, for a program that runs only once."""
    lease_duration_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_period_seconds: float = 2.0
    log_level: str = "info"

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
            self.name,
            clock,
            lease_duration_seconds=self.lease_duration_seconds,
            renew_deadline_seconds=self.renew_deadline_seconds,
            retry_period_seconds=self.retry_period_seconds,
            rng=rng,
        )


def duration(text: str) -> float:
    """A Go duration, for argparse."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_arguments(parser: argparse.ArgumentParser, *, health_port: int) -> None:
    """The flags of `LeadingConfig`."""
    add = parser.add_argument
    add("--kubeconfig", required=True, help="how to reach and authenticate to the API server")
    add(
        "--master",
        default="",
        metavar="URL[,URL...]",
        help="API servers, in place of the kubeconfig's; tried in turn",
    )
    add("--name", default="", help="identity of this instance; default host name and a random id")
    add(
        "--healthz-bind-address",
        type=parse_address,
        default=("127.0.0.1", health_port),
        metavar="HOST:PORT",
        help="where probes are answered",
    )
    add("--leader-elect", default="true", choices=("true", "false"))
    add("--leader-elect-lease-duration", type=duration, default=15.0, metavar="DURATION")
    add("--leader-elect-renew-deadline", type=duration, default=10.0, metavar="DURATION")
    add("--leader-elect-retry-period", type=duration, default=2.0, metavar="DURATION")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def from_options(options: argparse.Namespace) -> LeadingConfig:
    """What `add_arguments`' flags say; ask it for its `problems`."""
    return LeadingConfig(
        kubeconfig=options.kubeconfig,
        servers=tuple(part for part in options.master.split(",") if part),
        name=options.name or f"{socket.gethostname()}_{uuid.uuid4()}",
        health_address=options.healthz_bind_address,
        leader_elect=options.leader_elect == "true",
        lease_duration_seconds=options.leader_elect_lease_duration,
        renew_deadline_seconds=options.leader_elect_renew_deadline,
        retry_period_seconds=options.leader_elect_retry_period,
        log_level=options.log_level,
    )
