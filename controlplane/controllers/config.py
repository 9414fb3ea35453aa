"""What the program can be told: one frozen structure, made from flags and checked whole.

Flag names and defaults are kube-controller-manager's where it has them; durations are Go's.
"""

import argparse
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from kvstore.base.durations import parse_duration


class ConfigError(ValueError):
    """All that is wrong, a line each."""


@dataclass(frozen=True, slots=True)
class ControllersConfig:
    """Settings of the controller manager; seconds unless the name says otherwise."""

    kubeconfig: str
    servers: tuple[str, ...] = ()
    name: str = ""
    healthz_host: str = "127.0.0.1"
    healthz_port: int = 10257
    controllers: tuple[str, ...] = ("*",)
    lease_duration_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_period_seconds: float = 2.0
    node_monitor_grace_period_seconds: float = 40.0
    node_startup_grace_period_seconds: float = 60.0
    node_eviction_rate: float = 0.1
    default_toleration_seconds: float = 300.0
    terminated_pod_gc_threshold: int = 12500
    unreachable_pod_force_delete_seconds: float = 60.0
    root_ca_file: str = ""
    log_level: str = "info"


def add_common_arguments(parser: argparse.ArgumentParser, healthz_port: int) -> None:
    """Flags of every program that leads by lease."""
    add = parser.add_argument
    add(
        "--kubeconfig",
        required=True,
        help="file with the certificates and, without --master, the server",
    )
    add("--master", default="", help="API servers, comma separated; tried in turn")
    add("--name", default="", help="name of this instance (default: host name and a random id)")
    add(
        "--healthz-bind-address",
        default=f"127.0.0.1:{healthz_port}",
        help="HOST:PORT of the probes",
    )
    add("--leader-elect-lease-duration", default="15s")
    add("--leader-elect-renew-deadline", default="10s")
    add("--leader-elect-retry-period", default="2s")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def parse_arguments(arguments: Sequence[str] | None = None) -> ControllersConfig:
    """The configuration the command line says. Raises ConfigError."""
    parser = argparse.ArgumentParser(
        prog="controlplane.controllers", description="Runs the control loops of the cluster."
    )
    add_common_arguments(parser, 10257)
    add = parser.add_argument
    add("--controllers", default="*", help="names, comma separated; * is all, -name leaves one out")
    add("--node-monitor-period", default="5s", help="accepted; nodes are watched, not polled")
    add("--node-monitor-grace-period", default="40s")
    add("--node-startup-grace-period", default="60s")
    add("--node-eviction-rate", default="0.1", help="nodes per second whose Pods may be evicted")
    add("--default-unreachable-toleration-seconds", default="300", help="for Pods that state none")
    add("--terminated-pod-gc-threshold", default="12500")
    add("--unreachable-pod-force-delete-after", default="60s", help="0 waits for the node for ever")
    add("--root-ca-file", default="", help="put into ConfigMap kube-root-ca.crt of each namespace")
    flags = parser.parse_args(arguments)
    problems: list[str] = []

    def seconds(name: str) -> float:
        try:
            return parse_duration(getattr(flags, name))
        except ValueError as error:
            problems.append(f"--{name.replace('_', '-')}: {error}")
            return 1.0

    host, port = split_address(flags.healthz_bind_address, problems)
    config = ControllersConfig(
        kubeconfig=flags.kubeconfig,
        servers=tuple(part for part in flags.master.split(",") if part),
        name=flags.name or default_identity(),
        healthz_host=host,
        healthz_port=port,
        controllers=tuple(part for part in flags.controllers.split(",") if part),
        lease_duration_seconds=seconds("leader_elect_lease_duration"),
        renew_deadline_seconds=seconds("leader_elect_renew_deadline"),
        retry_period_seconds=seconds("leader_elect_retry_period"),
        node_monitor_grace_period_seconds=seconds("node_monitor_grace_period"),
        node_startup_grace_period_seconds=seconds("node_startup_grace_period"),
        node_eviction_rate=seconds("node_eviction_rate"),
        default_toleration_seconds=seconds("default_unreachable_toleration_seconds"),
        terminated_pod_gc_threshold=int(seconds("terminated_pod_gc_threshold")),
        unreachable_pod_force_delete_seconds=seconds("unreachable_pod_force_delete_after"),
        root_ca_file=flags.root_ca_file,
        log_level=flags.log_level,
    )
    problems += check_lease(
        config.lease_duration_seconds, config.renew_deadline_seconds, config.retry_period_seconds
    )
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def default_identity() -> str:
    """Unique also among instances on one machine."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def split_address(text: str, problems: list[str]) -> tuple[str, int]:
    """HOST:PORT in parts; a fault is added to `problems`."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        problems.append(f"--healthz-bind-address: {text!r} is not HOST:PORT")
        return "127.0.0.1", 0
    return host.strip("[]") or "0.0.0.0", int(port)


def check_lease(duration: float, deadline: float, retry: float) -> list[str]:
    """What is wrong with the three lease times together."""
    problems = []
    if not duration > deadline:
        problems.append("--leader-elect-lease-duration must be greater than the renew deadline")
    if not deadline > 1.2 * retry:
        problems.append("--leader-elect-renew-deadline must be greater than 1.2 retry periods")
    if retry <= 0:
        problems.append("--leader-elect-retry-period must be greater than zero")
    return problems
