"""MutatingAdmissionPolicy: changes of what is written, by expressions, one after the other.

An ApplyConfiguration is merged like a server-side apply, but nobody comes to own its fields; a JSONPatch whose test
fails changes nothing. Policies with `reinvocationPolicy: IfNeeded` are applied again when somebody changed the object
after them.

Source: apiserver/pkg/admission/plugin/policy/mutating/{dispatcher.go,patch}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.api import errors, meta
from controlplane.api.cel.construction import ConstructionError, as_maps, built
from controlplane.api.errors import APIError, Cause
from controlplane.api.meta import Obj
from controlplane.api.patch import json_patch, typed
from controlplane.api.resource import Resource
from controlplane.api.schema.builtin import Schema
from controlplane.api.schema.values import MalformedError
from controlplane.apiserver.admission.interface import DELETE, Attributes
from controlplane.apiserver.admission.policies.bound import Policies, Policy
from controlplane.apiserver.admission.policies.dispatcher import Dispatcher
from controlplane.apiserver.admission.policies.invocations import (
    Invocation,
)
from controlplane.apiserver.admission.policies.values import Values
from controlplane.apiserver.admission.selection.conditions import (
    Evaluator,
    ExpressionError,
    values_of,
)
from controlplane.apiserver.admission.selection.rules import is_exempt
from controlplane.apiserver.admission.selection.views import View
from controlplane.apiserver.requests import body

_NAME = "MutatingAdmissionPolicy"


class MutationError(Exception):
    """A mutation that cannot be done."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused, and the reason of the Status."""

    text: str
    reason: str = "Invalid"


class MutatingPolicies:
    """The plugin."""

    def __init__(self, policies: Policies, dispatcher: Dispatcher) -> None:
        self._policies = policies
        self._dispatcher = dispatcher
        self._views = dispatcher.views

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Everything that has an object, but what decides about admission."""
        del subresource
        return operation != DELETE and not is_exempt(resource)

    async def admit(self, attributes: Attributes) -> None:
        """Apply the policies that are for the request; in the second round those that must see it again."""
        policies = await self._policies.current()
        if not policies:
            return
        problems: list[Problem] = []
        invocations: list[Invocation] = []
        async for found in self._dispatcher.finder.find(policies, attributes):
            if isinstance(found, Invocation):
                invocations.append(found)
            elif found.policy.fails:
                # Compat: what is misconfigured is forbidden, what goes wrong is invalid.
                text = _told(found.policy, found.binding, found.problem)
                problems.append(Problem(text, "Forbidden"))
        if invocations:
            await self._apply_all(invocations, attributes, problems)
        if problems:
            raise _refusal(attributes, problems)

    async def _apply_all(
        self, invocations: list[Invocation], attributes: Attributes, problems: list[Problem]
    ) -> None:
        namespace = await self._dispatcher.namespace(attributes)
        evaluator = self._dispatcher.evaluator(attributes)
        rounds = attributes.reinvocation
        rounds.begin(_NAME, attributes.obj)
        try:
            for found in invocations:
                for params in found.params:
                    await self._apply(found, params, namespace, attributes, evaluator, problems)
        finally:
            rounds.end(_NAME, attributes.obj)

    async def _apply(
        self,
        found: Invocation,
        params: Obj | None,
        namespace: Obj | None,
        attributes: Attributes,
        evaluator: Evaluator,
        problems: list[Problem],
    ) -> None:
        """Apply one policy with one set of parameters."""
        policy, rounds = found.policy, attributes.reinvocation
        more = {"params": params, "namespaceObject": namespace}
        view = await self._views.of(attributes, found.resource)
        values = values_of(attributes, view, **more)
        match = await self._dispatcher.match(policy, _NAME, values, evaluator, attributes)
        if match.error:
            problems.append(Problem(_told(policy, found.binding, match.error)))
            return
        if not match.is_match:
            return
        key = _key(found, params)
        if rounds.is_second and not rounds.is_due(_NAME, key):
            return
        before = meta.copy_of(view.obj) if view.obj is not None else None
        for mutation in policy.spec.get("mutations") or ():
            if view.obj is None:
                break
            scope = Values(
                evaluator, values_of(attributes, view, **more), policy.spec.get("variables") or ()
            )
            try:
                made = await _mutated(mutation, view, scope)
            except (ExpressionError, MutationError, ConstructionError) as error:
                if policy.fails:
                    problems.append(Problem(_told(policy, found.binding, str(error))))
                continue
            view = await self._take(attributes, found, view, made)
        if view.obj != before:
            rounds.changed(_NAME)
        if policy.spec.get("reinvocationPolicy") == "IfNeeded":
            rounds.invoked(_NAME, key)

    async def _take(self, attributes: Attributes, found: Invocation, view: View, made: Obj) -> View:
        """Put what a mutation has made in the place of the object; the view of that."""
        view.kind.default(made)
        result = await self._views.back(made, view.kind, attributes)
        obj = attributes.require_object()
        if result is not obj:
            obj.clear()
            obj.update(result)
        return await self._views.of(attributes, found.resource)


async def _mutated(mutation: Obj, view: View, scope: Values) -> Obj:
    """The object as one mutation makes it, in the form of its type."""
    assert view.obj is not None
    if mutation.get("patchType") == "JSONPatch":
        expression = str((mutation.get("jsonPatch") or {}).get("expression")).strip()
        operations = built(await scope.evaluate(as_maps(expression), shown=expression))
        if not isinstance(operations, list):
            raise MutationError("type mismatch: JSONPatchType.expression should evaluate to array")
        try:
            made = json_patch.apply_if_tests_hold(view.obj, operations)
        except APIError as error:
            problem = json_patch.problem(view.obj, operations) or error.message
            raise MutationError(f"JSON Patch: {problem}") from error
        return _decoded(made, view)
    expression = str((mutation.get("applyConfiguration") or {}).get("expression")).strip()
    try:
        patch = built(await scope.evaluate(as_maps(expression), shown=expression))
    except ConstructionError as error:
        raise MutationError(f"type mismatch: {error}") from error
    if not isinstance(patch, dict):
        raise MutationError(
            f"unsupported return type from ApplyConfiguration expression: {type(patch).__name__}"
        )
    return _decoded(applied(view.obj, patch, view.kind.schema), view)


def applied(obj: Obj, patch: Obj, schema: Schema | None) -> Obj:
    """`obj` with an apply configuration merged into it. MutationError when it does not fit, or has atomic parts."""
    patch = {**patch, "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    try:
        typed.check(patch, schema)
    except typed.TypedError as error:
        raise MutationError(
            f"error applying patch: failed to convert patch object to typed object: {error}"
        ) from error
    atomic = list(_atomics(patch, schema, ""))
    if atomic:
        raise MutationError(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, "
            f"maps or structs: {', '.join(atomic)}"
        )
    try:
        made: Obj = typed.merge(obj, patch, schema)
    except typed.TypedError as error:
        raise MutationError(f"error applying patch: failed to merge patch: {error}") from error
    return made


def _atomics(value: Any, schema: Schema | None, path: str) -> Iterator[str]:
    """The paths of atomic lists and maps in a configuration."""
    if schema is None:
        return
    if isinstance(value, dict):
        if schema.type == "object" and schema.is_atomic_map:
            yield path
        for key, item in value.items():
            yield from _atomics(item, schema.child(key), f"{path}.{key}")
    elif isinstance(value, list):
        if schema.list_type not in ("set", "map"):
            yield path
        for index, item in enumerate(value):
            yield from _atomics(item, schema.items, f"{path}[{index}]")


def _decoded(made: Obj, view: View) -> Obj:
    try:
        made, problems = body.decoded(meta.copy_of(made), view.kind)
    except MalformedError as error:
        raise errors.Internal(str(error)) from error
    if problems and view.kind.own_schema is None:
        raise errors.Internal(f"strict decoding error: {', '.join(problems)}")
    return made


def _key(found: Invocation, params: Obj | None) -> str:
    shown = "" if params is None else f"{meta.namespace(params)}/{meta.name(params)}"
    return f"{found.policy.name}|{meta.name(found.binding)}|{shown}"


def _told(policy: Policy, binding: Obj | None, problem: str) -> str:
    if binding is None:
        return f"policy {json.dumps(policy.name)} denied request: {problem}"
    return f"policy '{policy.name}' with binding '{meta.name(binding)}' denied request: {problem}"


def _refusal(attributes: Attributes, problems: list[Problem]) -> APIError:
    """A Forbidden that says what the first policy says, with all as causes."""
    causes = [Cause("", one.text, "") for one in problems]
    first = problems[0]
    shown = errors.Forbidden.of(attributes.resource, attributes.name, "", causes=causes).status()
    error = APIError(first.text, code=403)
    error.foreign = {**shown, "message": first.text, "reason": first.reason}
    return error
