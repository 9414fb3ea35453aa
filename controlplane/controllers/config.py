"""What the program can be told: how it leads, which controllers it runs, and their own options.

Flag names and defaults are kube-controller-manager's where it has them; durations are Go's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.controllers.catalog import CONTROLLERS
from controlplane.controllers.framework.descriptor import Descriptor, chosen, options_of
from controlplane.program.leading import LeadingConfig
from controlplane.program.options import Address, Parsed, option, parse_options

_HEALTH = Address("127.0.0.1", 10257)


@dataclass(frozen=True, slots=True)
class ControllersConfig:
    """Which controllers run."""

    controllers: tuple[str, ...] = option(
        ("*",), "names; * is all that are on by default, name runs one, -name leaves one out"
    )
    use_service_account_credentials: bool = option(
        False, "whether each controller writes as a service account of its own"
    )

    def chosen(self) -> list[Descriptor[Any]]:
        """The descriptors of the controllers to run. Raises ValueError on unknown names."""
        return chosen(CONTROLLERS, self.controllers)

    def problems(self) -> list[str]:
        """Names that are not known."""
        try:
            self.chosen()
        except ValueError as error:
            return [f"--controllers: {error}"]
        return []


def parse_arguments(arguments: Sequence[str] | None = None) -> Parsed:
    """LeadingConfig, ControllersConfig and the options of every controller. Raises OptionError."""
    return parse_options(
        "controlplane.controllers",
        "Runs the control loops of the cluster.",
        (LeadingConfig, ControllersConfig, *options_of(CONTROLLERS)),
        arguments,
        defaults={"health_address": _HEALTH},
    )
