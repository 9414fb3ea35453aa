"""All plugins in order, with a memory of which of them a sort of request concerns: most concern none."""

from collections.abc import Sequence
from typing import Any

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Mutator, Plugin, Validator

# Custom resources come and go: the memory is emptied when it has this many sorts.
_MAX_REMEMBERED = 10_000


class AdmissionChain:
    """The `Admission` of a server.

    A plugin with `admit` mutates, one with `validate` validates, one with both does both.
    """

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = tuple(plugins)
        self._remembered: dict[tuple[str, str, str, str, str], tuple[Any, ...]] = {}

    def mutators(self, operation: str, resource: Resource, subresource: str) -> Sequence[Mutator]:
        """See `Admission.mutators`."""
        return self._asked("admit", operation, resource, subresource)

    def validators(
        self, operation: str, resource: Resource, subresource: str
    ) -> Sequence[Validator]:
        """See `Admission.validators`."""
        return self._asked("validate", operation, resource, subresource)

    def _asked(
        self, method: str, operation: str, resource: Resource, subresource: str
    ) -> tuple[Any, ...]:
        key = (method, operation, resource.group, resource.plural, subresource)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = tuple(
                plugin
                for plugin in self._plugins
                if hasattr(plugin, method) and plugin.handles(operation, resource, subresource)
            )
        return found
