"""Options of the scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.program.leading import LeadingConfig
from controlplane.program.options import Address, option, parse_options
from controlplane.scheduler.profiles import (
    Configuration,
    ConfigurationError,
    Profile,
    read_configuration,
)

_HEALTH = Address("127.0.0.1", 10259)


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What the scheduler is told at start."""

    leading: LeadingConfig
    scheduler_name: str = option(
        "default-scheduler", "Pods with another spec.schedulerName are left alone"
    )
    config: str = option(
        "", "a KubeSchedulerConfiguration: profiles, plugins, their arguments", metavar="FILE"
    )

    def configuration(self) -> Configuration:
        """What the file says, or one default profile. Raises OSError, ConfigurationError."""
        if not self.config:
            return Configuration((Profile(self.scheduler_name),))
        return read_configuration(Path(self.config).read_text(encoding="utf-8"))

    def problems(self) -> list[str]:
        """What is wrong with the file."""
        try:
            self.configuration()
        except (OSError, ConfigurationError) as error:
            return [f"--config: {line}" for line in str(error).splitlines()]
        return []


def parse_arguments(arguments: Sequence[str] | None = None) -> SchedulerConfig:
    """Read the command line. Raises OptionError."""
    return parse_options(
        "controlplane.scheduler",
        "Gives every pod a node.",
        (SchedulerConfig,),
        arguments,
        defaults={"health_address": _HEALTH},
    ).of(SchedulerConfig)
