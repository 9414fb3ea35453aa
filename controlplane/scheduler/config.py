"""Options of the scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.program.leading import LeadingConfig
from controlplane.program.options import Address, option, parse_options

_HEALTH = Address("127.0.0.1", 10259)


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What the scheduler is told at start."""

    leading: LeadingConfig
    scheduler_name: str = option(
        "default-scheduler", "Pods with another spec.schedulerName are left alone"
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> SchedulerConfig:
    """Read the command line. Raises OptionError."""
    return parse_options(
        "controlplane.scheduler",
        "Gives every pod a node.",
        (SchedulerConfig,),
        arguments,
        defaults={"health_address": _HEALTH},
    ).of(SchedulerConfig)
