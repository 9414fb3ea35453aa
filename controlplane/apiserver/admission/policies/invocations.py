"""Which policies are for a request, by which bindings, and with which parameters.

Source: apiserver/pkg/admission/plugin/policy/{matching/matching.go,generic/policy_dispatcher.go}.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme, split_api_version
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.policies.bound import Policy
from controlplane.apiserver.admission.selection.constraints import Constraints
from controlplane.apiserver.admission.selection.rules import namespace_of
from controlplane.apiserver.admission.selection.views import Views
from controlplane.apiserver.lookup import Lookup


class ConfigurationError(Exception):
    """A policy, or a binding, that cannot be applied to the request as it is written."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One policy to be applied: by `binding`, to the request as one for `resource`, once for each of `params`."""

    policy: Policy
    binding: Obj
    resource: Resource
    params: tuple[Obj | None, ...]


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """A policy that is for the request and cannot be applied; `binding` is None where the policy itself is at fault."""

    policy: Policy
    binding: Obj | None
    problem: str


class Finder:
    """Finds invocations."""

    def __init__(self, views: Views, lookup: Lookup, scheme: Callable[[], Scheme]) -> None:
        self._views = views
        self._lookup = lookup
        self._scheme = scheme

    async def find(
        self, policies: tuple[Policy, ...], attributes: Attributes
    ) -> AsyncIterator[Invocation | Misconfigured]:
        """All that concern the request, in order. NotFound of a namespace is a misconfiguration, as upstream has it."""
        for policy in policies:
            try:
                resource = await self._resource(policy.constraints, attributes)
                if resource is None:
                    continue
                param_kind = self._param_kind(policy)
            except (ConfigurationError, APIError) as error:
                yield Misconfigured(policy, None, f"failed to configure policy: {error}")
                continue
            for binding in policy.bindings:
                obj, constraints = binding.obj, binding.constraints
                try:
                    if constraints and await self._resource(constraints, attributes) is None:
                        continue
                    reference = meta.spec(obj).get("paramRef")
                    params = await self._params(param_kind, reference, attributes)
                except (ConfigurationError, APIError) as error:
                    yield Misconfigured(policy, obj, f"failed to configure binding: {error}")
                    continue
                yield Invocation(policy, obj, resource, params)

    async def _resource(self, constraints: Constraints, attributes: Attributes) -> Resource | None:
        return await constraints.resource(attributes, self._views, self._lookup)

    def _param_kind(self, policy: Policy) -> Kind | None:
        wanted = policy.spec.get("paramKind")
        if wanted is None:
            return None
        api_version, name = str(wanted.get("apiVersion")), str(wanted.get("kind"))
        row = self._scheme().by_kind(api_version, name)
        if row is None:
            group, version = split_api_version(api_version)
            raise ConfigurationError(
                f"failed to find resource referenced by paramKind: '{group}/{version}, Kind={name}'"
            )
        return self._scheme().kind_of(row)

    async def _params(
        self, kind: Kind | None, reference: Obj | None, attributes: Attributes
    ) -> tuple[Obj | None, ...]:
        if kind is None or reference is None:
            return (None,)
        row = kind.resource
        namespace = str(reference.get("namespace") or "")
        if not row.namespaced and namespace:
            raise ConfigurationError(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
            )
        if row.namespaced and not namespace:
            namespace = namespace_of(attributes)
            if not namespace:
                raise ConfigurationError(
                    "cannot use namespaced paramRef in policy binding that matches "
                    "cluster-scoped resources"
                )
        stored = self._scheme().storage_row(row)
        found: list[Obj] = []
        if reference.get("name"):
            one = await self._lookup.find(stored, namespace, str(reference["name"]))
            found = [] if one is None else [one]
        else:
            selector = LabelSelector.from_object(reference.get("selector") or {})
            candidates = await self._lookup.all(stored, namespace)
            found = [one for one in candidates if selector.matches(meta.labels(one))]
        if not found and reference.get("parameterNotFoundAction") == "Deny":
            raise ConfigurationError(
                "no params found for policy binding with `Deny` parameterNotFoundAction"
            )
        return tuple([await self._views.stored(one, kind) for one in found])
