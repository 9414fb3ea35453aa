"""The webhooks of all configurations of one sort, in their order: by the configurations' names, then as they stand.

They are read from the watch cache, so every API server follows the store; what has not changed is kept as it is.
Source: apiserver/pkg/admission/configuration/{mutating,validating}_webhook_manager.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection.constraints import Constraints
from controlplane.apiserver.followed import Followed


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. `key` names it among all; `index` is its place among all of its sort."""

    key: str
    index: int
    configuration: str
    spec: Obj
    constraints: Constraints

    @property
    def name(self) -> str:
        """As errors name it."""
        return str(self.spec.get("name"))

    @property
    def ignores_failures(self) -> bool:
        """Whether a call that fails lets the request pass."""
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def is_harmless(self) -> bool:
        """Whether it may be called for a dry run."""
        return self.spec.get("sideEffects") in ("None", "NoneOnDryRun")

    @property
    def timeout_seconds(self) -> float:
        """How long it may take."""
        return float(self.spec.get("timeoutSeconds") or 10)


class Hooks:
    """Follows the configurations of one kind."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._hooks: list[Hook] = []

    async def concerning(self, attributes: Attributes) -> list[Hook]:
        """All webhooks, if some may be for the request, else none; the list is not to be changed.

        APIError when the store is away and nothing is cached.
        """
        changes = await self._followed.changes()
        if changes is None or changes:
            self._hooks = hooks_of([obj for _, obj in self._followed.items()])
        if self._hooks and not _may_concern(self._hooks, attributes.operation, attributes.resource):
            return []
        return self._hooks


def hooks_of(configurations: list[Obj]) -> list[Hook]:
    """The webhooks of these configurations, in order."""
    found: list[Hook] = []
    for configuration in sorted(configurations, key=meta.name):
        seen: dict[str, int] = {}
        for spec in configuration.get("webhooks") or ():
            name = str(spec.get("name"))
            number = seen[name] = seen.get(name, -1) + 1
            found.append(
                Hook(
                    f"{meta.name(configuration)}/{name}/{number}",
                    len(found),
                    meta.name(configuration),
                    spec,
                    Constraints.of_webhook(spec),
                )
            )
    return found


def _may_concern(hooks: list[Hook], operation: str, resource: Resource) -> bool:
    """Whether a look at the webhooks is worth while; cheap, and true too often."""
    return any(
        operation in (rule.get("operations") or ()) or "*" in (rule.get("operations") or ())
        for hook in hooks
        for rule in hook.spec.get("rules") or ()
        if _has_resource(rule, resource)
    )


def _has_resource(rule: Obj, resource: Resource) -> bool:
    return any(
        text.partition("/")[0] in ("*", resource.plural) for text in rule.get("resources") or ()
    )
