"""Settings of the scheduler and the flags they come from."""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.runtime.program import parse_address
from kvstore.base.durations import parse_duration


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What the scheduler is told at start. Durations are seconds."""

    kubeconfig: str
    servers: tuple[str, ...] = ()
    """API servers in order of preference; empty means the one in the kubeconfig."""
    name: str = ""
    """Identity in the Lease; must differ between replicas."""
    scheduler_name: str = "default-scheduler"
    """Pods with another spec.schedulerName are left alone."""
    health_address: tuple[str, int] | None = None
    leader_elect: bool = True
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    log_level: str = "info"


def parse_arguments(arguments: Sequence[str] | None = None) -> SchedulerConfig:
    """Read the command line; exits with usage on a mistake."""
    parser = argparse.ArgumentParser(prog="scheduler", description="Give every pod a node.")
    add = parser.add_argument
    add("--kubeconfig", required=True, help="how to reach and authenticate to the API server")
    add(
        "--master",
        default="",
        metavar="URL[,URL...]",
        help="API servers, in place of the kubeconfig's",
    )
    add("--name", default="", help="identity in leader election; default host name")
    add("--scheduler-name", default="default-scheduler", help="which pods to schedule")
    add("--healthz-bind-address", type=parse_address, default=None, metavar="HOST:PORT")
    add("--leader-elect", default="true", choices=("true", "false"))
    add("--leader-elect-lease-duration", type=parse_duration, default=15.0, metavar="DURATION")
    add("--leader-elect-renew-deadline", type=parse_duration, default=10.0, metavar="DURATION")
    add("--leader-elect-retry-period", type=parse_duration, default=2.0, metavar="DURATION")
    add("--log-level", default="info")
    options = parser.parse_args(arguments)
    if options.leader_elect_renew_deadline >= options.leader_elect_lease_duration:
        parser.error("--leader-elect-renew-deadline must be shorter than the lease duration")
    return SchedulerConfig(
        kubeconfig=options.kubeconfig,
        servers=tuple(url for url in options.master.split(",") if url),
        name=options.name or socket.gethostname(),
        scheduler_name=options.scheduler_name,
        health_address=options.healthz_bind_address,
        leader_elect=options.leader_elect == "true",
        lease_duration=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry_period=options.leader_elect_retry_period,
        log_level=options.log_level,
    )
