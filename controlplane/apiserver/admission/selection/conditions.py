"""CEL over one admission request: what its variables hold, and evaluation that may ask the authorizer.

Sources: apiserver/pkg/admission/plugin/cel/{condition.go,activation.go,compile.go}, .../webhook/matchconditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from controlplane.api import meta
from controlplane.api.cel import authorization
from controlplane.api.cel.environment import (
    DYN,
    MAP,
    CompileError,
    Environment,
    EvaluationError,
    Program,
)
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection.rules import namespace_of
from controlplane.apiserver.admission.selection.views import View, type_of
from controlplane.apiserver.authz.interface import Attributes as Question
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.http.messages import User

# How many answers of the authorizer one expression may need, one after the other.
_MAX_ROUNDS = 32
# Compiled expressions kept; a cluster has some hundreds.
_MAX_PROGRAMS = 2048
# Upstream's budget of one policy is as many units of cost. The library does not meter; what loops inside each other
# can come to is bounded before they run.
_MAX_STEPS = 10_000_000
_MIN_DEPTH = 2
_TOO_DEAR = "operation cancelled: actual cost limit exceeded"
_NAMESPACE_FIELDS = (
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "finalizers",
)


class ExpressionError(ValueError):
    """An expression gave no value; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Match:
    """What match conditions say; `error` is the text of those that could not be evaluated, when none was false."""

    is_match: bool
    error: str = ""


@cache
def environment() -> Environment:
    """The variables of admission, without types: those were checked when the expression was written."""
    names = ("object", "oldObject", "params", "namespaceObject")
    types = {**dict.fromkeys(names, DYN), "request": MAP, "authorizer": MAP, "variables": MAP}
    return Environment(types, has_bindings=True)


@lru_cache(maxsize=_MAX_PROGRAMS)
def program(expression: str) -> Program | CompileError:
    """The compiled expression, or why there is none."""
    try:
        return environment().compile(expression)
    except CompileError as error:
        return error


@lru_cache(maxsize=_MAX_PROGRAMS)
def _loops(expression: str) -> int:
    compiled = program(expression)
    return 0 if isinstance(compiled, CompileError) else compiled.loop_depth()


def _steps(expression: str, values: Mapping[str, Any]) -> int:
    """How often the innermost of loops inside each other may run: each over the longest of all lists."""
    depth = _loops(expression)
    return 0 if depth < _MIN_DEPTH else _longest(values) ** depth


def _longest(value: Any) -> int:
    if isinstance(value, Mapping):
        return max(len(value), max(map(_longest, value.values()), default=0))
    if isinstance(value, list):
        return max(len(value), max(map(_longest, value), default=0))
    return 0


@lru_cache(maxsize=_MAX_PROGRAMS)
def selected_variables(expression: str) -> frozenset[str] | None:
    """The fields of `variables` that an expression reads; None when it may read all of them."""
    compiled = program(expression)
    return None if isinstance(compiled, CompileError) else compiled.fields_of("variables")


def request_value(attributes: Attributes, view: View) -> Obj:
    """The variable `request`: the review's request without its objects."""
    value: Obj = {
        "kind": view.type.to_dict(),
        "resource": _resource_dict(view.resource),
        "requestKind": type_of(attributes).to_dict(),
        "requestResource": _resource_dict(attributes.resource),
        "operation": attributes.operation,
        "userInfo": attributes.user.info(),
        "dryRun": attributes.is_dry_run,
    }
    for key, text in (
        ("subResource", attributes.subresource),
        ("requestSubResource", attributes.subresource),
        ("name", attributes.name),
        ("namespace", namespace_of(attributes)),
    ):
        if text:
            value[key] = text
    value["options"] = options_of(attributes)
    return value


def _resource_dict(row: Resource) -> dict[str, str]:
    return {"group": row.group, "version": row.version, "resource": row.plural}


def options_of(attributes: Attributes) -> Obj:
    """The request's options; a patch has those of the create or update that it is."""
    options = dict(attributes.options)
    if options.get("kind") == "PatchOptions":
        options["kind"] = f"{attributes.operation.title()}Options"
        options.pop("force", None)
    return options


def namespace_value(namespace: Obj | None) -> Obj | None:
    """The variable `namespaceObject`: what of a namespace expressions may see."""
    if namespace is None:
        return None
    fields = meta.metadata(namespace)
    value: Obj = {"metadata": {key: fields[key] for key in _NAMESPACE_FIELDS if key in fields}}
    for part, key in (("spec", "finalizers"), ("status", "phase")):
        found = (namespace.get(part) or {}).get(key)
        value[part] = {key: found} if found else {}
    return value


def values_of(attributes: Attributes, view: View, **more: Any) -> dict[str, Any]:
    """All variables; `params`, `namespaceObject` and `variables` by keyword."""
    check = authorization.Check(
        group=attributes.resource.group,
        resource=attributes.resource.plural,
        subresource=attributes.subresource,
        namespace=namespace_of(attributes),
        name=attributes.name,
    )
    return {
        "object": view.obj,
        "oldObject": view.old,
        "request": request_value(attributes, view),
        "authorizer": authorization.authorizer(check),
        "params": None,
        "namespaceObject": None,
        "variables": {},
        **more,
    }


class Evaluator:
    """Evaluates expressions of one request; answers of the authorizer are kept for all of them."""

    def __init__(self, authorizer: Authorizer, user: User) -> None:
        self._authorizer = authorizer
        self._user = user
        self._answers = authorization.Answers()

    async def evaluate(self, expression: str, values: Mapping[str, Any], *, shown: str = "") -> Any:
        """The value. ExpressionError, which shows the expression, or `shown` in its place, when there is none."""
        compiled = program(expression)
        if isinstance(compiled, CompileError):
            raise ExpressionError(f"compilation error: {compiled}")
        if _steps(expression, values) > _MAX_STEPS:
            raise ExpressionError(
                f"expression '{shown or expression}' resulted in error: {_TOO_DEAR}"
            )
        for _ in range(_MAX_ROUNDS):
            self._answers.missing.clear()
            try:
                with authorization.answering(self._answers):
                    return compiled.evaluate(values)
            except EvaluationError as error:
                if not self._answers.missing:
                    text = f"expression '{shown or expression}' resulted in error: {error}"
                    raise ExpressionError(text) from error
            for check in self._answers.missing:
                self._answers.known[check] = await self._decide(check)
        raise ExpressionError(f"expression '{expression}' asks the authorizer too often")

    async def _decide(self, check: authorization.Check) -> authorization.Decision:
        user = _account(check.account) if check.account else self._user
        question = Question(
            user,
            check.verb,
            path=check.path,
            is_resource=not check.path,
            group=check.group,
            version="" if check.path else "*",
            resource=check.resource,
            subresource=check.subresource,
            namespace=check.namespace,
            name=check.name,
            label_selector=check.label_selector,
            field_selector=check.field_selector,
        )
        try:
            verdict = await self._authorizer.authorize(question)
        except APIError as error:
            return authorization.Decision(False, error=error.message)
        return authorization.Decision(verdict.is_allowed, verdict.reason)

    async def match(
        self, conditions: Sequence[Obj], values: Mapping[str, Any], *, fails: bool
    ) -> Match:
        """Whether all conditions hold: a false one settles it, else a failed one; `fails` is the failure policy."""
        problems: list[str] = []
        for condition in conditions:
            try:
                holds = await self.evaluate(str(condition.get("expression") or "").strip(), values)
            except ExpressionError as error:
                problems.append(str(error))
                continue
            if holds is False:
                return Match(False)
        if not problems:
            return Match(True)
        if not fails:
            return Match(False)
        return Match(False, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _account(text: str) -> User:
    namespace = text.partition(":")[0]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{text}", (*groups, "system:authenticated"))
