"""What the program can be told: one frozen structure, made from flags and checked whole.

Flag names and defaults are kube-controller-manager's where it has them; durations are Go's.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.program import leading
from kvstore.base.durations import parse_duration


class ConfigError(ValueError):
    """All that is wrong, a line each."""


@dataclass(frozen=True, slots=True)
class ControllersConfig:
    """Settings of the controller manager; seconds unless the name says otherwise."""

    leading: leading.LeadingConfig
    controllers: tuple[str, ...] = ("*",)
    node_monitor_grace_period_seconds: float = 40.0
    node_startup_grace_period_seconds: float = 60.0
    node_eviction_rate: float = 0.1
    default_toleration_seconds: float = 300.0
    terminated_pod_gc_threshold: int = 12500
    unreachable_pod_force_delete_seconds: float = 60.0
    root_ca_file: str = ""


def parse_arguments(arguments: Sequence[str] | None = None) -> ControllersConfig:
    """The configuration the command line says. Raises ConfigError."""
    parser = argparse.ArgumentParser(
        prog="controlplane.controllers", description="Runs the control loops of the cluster."
    )
    leading.add_arguments(parser, health_port=10257)
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

    config = ControllersConfig(
        leading=leading.from_options(flags),
        controllers=tuple(part for part in flags.controllers.split(",") if part),
        node_monitor_grace_period_seconds=seconds("node_monitor_grace_period"),
        node_startup_grace_period_seconds=seconds("node_startup_grace_period"),
        node_eviction_rate=seconds("node_eviction_rate"),
        default_toleration_seconds=seconds("default_unreachable_toleration_seconds"),
        terminated_pod_gc_threshold=int(seconds("terminated_pod_gc_threshold")),
        unreachable_pod_force_delete_seconds=seconds("unreachable_pod_force_delete_after"),
        root_ca_file=flags.root_ca_file,
    )
    problems += config.leading.problems()
    if problems:
        raise ConfigError("\n".join(problems))
    return config
