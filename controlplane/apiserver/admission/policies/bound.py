"""Policies of one sort with their bindings, in the order of their names, as the watch cache has them.

Source: apiserver/pkg/admission/plugin/policy/generic/policy_source.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.admission.selection.constraints import Constraints
from controlplane.apiserver.followed import Followed


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding; `constraints` is None where it is for all that its policy is for."""

    obj: Obj
    constraints: Constraints | None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that has bindings."""

    obj: Obj
    constraints: Constraints
    bindings: tuple[Binding, ...]

    @property
    def name(self) -> str:
        """As errors name it."""
        return meta.name(self.obj)

    @property
    def spec(self) -> Obj:
        """What it says."""
        return meta.spec(self.obj)

    @property
    def fails(self) -> bool:
        """Whether what goes wrong refuses the request."""
        return self.spec.get("failurePolicy") != "Ignore"


class Policies:
    """Follows policies and bindings of one sort."""

    def __init__(self, policies: Followed, bindings: Followed) -> None:
        self._policies = policies
        self._bindings = bindings
        self._bound: tuple[Policy, ...] = ()

    async def current(self) -> tuple[Policy, ...]:
        """All policies that are bound. APIError when the store is away and nothing is cached."""
        changed = False
        for followed in (self._policies, self._bindings):
            changes = await followed.changes()
            changed = changed or changes is None or bool(changes)
        if changed:
            self._bound = joined(
                [obj for _, obj in self._policies.items()],
                [obj for _, obj in self._bindings.items()],
            )
        return self._bound


def joined(policies: list[Obj], bindings: list[Obj]) -> tuple[Policy, ...]:
    """Each policy with its bindings; those without any do nothing."""
    by_policy: dict[str, list[Binding]] = {}
    for binding in sorted(bindings, key=meta.name):
        spec = meta.spec(binding)
        match = spec.get("matchResources")
        constraints = None if match is None else Constraints.of_match(match)
        by_policy.setdefault(str(spec.get("policyName")), []).append(Binding(binding, constraints))
    return tuple(
        Policy(
            policy,
            Constraints.of_match(meta.spec(policy).get("matchConstraints") or {}),
            tuple(by_policy[meta.name(policy)]),
        )
        for policy in sorted(policies, key=meta.name)
        if meta.name(policy) in by_policy
    )
