"""Settings of the scheduler and the flags they come from."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.program import leading


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What the scheduler is told at start."""

    leading: leading.LeadingConfig
    scheduler_name: str = "default-scheduler"
    """Pods with another spec.schedulerName are left alone."""


def parse_arguments(arguments: Sequence[str] | None = None) -> SchedulerConfig:
    """Read the command line; exits with usage on a mistake."""
    parser = argparse.ArgumentParser(prog="scheduler", description="Give every pod a node.")
    leading.add_arguments(parser, health_port=10259)
    parser.add_argument(
        "--scheduler-name", default="default-scheduler", help="which pods to schedule"
    )
    options = parser.parse_args(arguments)
    config = SchedulerConfig(leading.from_options(options), options.scheduler_name)
    if problems := config.leading.problems():
        parser.error("; ".join(problems))
    return config
