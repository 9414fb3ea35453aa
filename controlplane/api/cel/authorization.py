"""What expressions of admission ask an authorizer: `authorizer.group('apps').resource('x').check('get').allowed()`.

Authorizers, checks and decisions are maps with tagged keys like the other types of Kubernetes. Expressions are
evaluated without waiting while an authorizer may wait: what is not known yet is noted (`Answers.missing`), evaluation
fails, and whoever evaluates finds out and tries again. Source: k8s.io/apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from controlplane.api.cel.tagged import FunctionError

STRING, MAP, BOOL = "STRING", "MAP", "BOOL"
REQUEST_RESOURCE = "requestResource"
_AUTHORIZER, _PATH, _GROUP, _RESOURCE, _DECISION = (
    "@authorizer",
    "@pathCheck",
    "@groupCheck",
    "@resourceCheck",
    "@decision",
)

FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "path": (MAP, (STRING,)),
    "serviceAccount": (MAP, (STRING, STRING)),
    "group": (MAP, (STRING,)),
    "resource": (MAP, (STRING,)),
    "subresource": (MAP, (STRING,)),
    "namespace": (MAP, (STRING,)),
    "name": (MAP, (STRING,)),
    "fieldSelector": (MAP, (STRING,)),
    "labelSelector": (MAP, (STRING,)),
    "check": (MAP, (STRING,)),
    "allowed": (BOOL, ()),
    "reason": (STRING, ()),
    "errored": (BOOL, ()),
    "error": (STRING, ()),
}
"""Methods: name -> (what it gives, what it takes)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question. An empty `path` means a resource; an empty `account` the user of the request."""

    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    # `namespace:name` of a service account.
    account: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer; `error` is empty where the authorizer could tell."""

    is_allowed: bool
    reason: str = ""
    error: str = ""


@dataclass(slots=True)
class Answers:
    """What is known, and what was asked in vain."""

    known: dict[Check, Decision] = field(default_factory=dict)
    missing: list[Check] = field(default_factory=list)


_answers: contextvars.ContextVar[Answers | None] = contextvars.ContextVar("answers", default=None)


@contextmanager
def answering(answers: Answers) -> Iterator[None]:
    """Expressions evaluated in the block find their answers here."""
    token = _answers.set(answers)
    try:
        yield
    finally:
        _answers.reset(token)


def authorizer(request: Check) -> dict[str, Any]:
    """The value of the variable `authorizer`; `request` is what the request itself is about."""
    return {_AUTHORIZER: "", REQUEST_RESOURCE: _resource(request)}


def call(name: str) -> Callable[..., Any]:
    """The method of that name."""
    return lambda value, *arguments: _METHODS[name](value, *arguments)


def _fields(check: Check) -> dict[str, str]:
    return {key: getattr(check, key) for key in check.__slots__ if getattr(check, key)}


def _resource(check: Check) -> dict[str, Any]:
    return {_RESOURCE: _fields(check)}


def _check(value: Any, tag: str, method: str) -> Check:
    found = value.get(tag) if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping):
        raise FunctionError(f"no such overload: {method}")
    return Check(**{str(key): str(text) for key, text in found.items()})


def _account_of(value: Any, method: str) -> str:
    if not isinstance(value, Mapping) or _AUTHORIZER not in value:
        raise FunctionError(f"no such overload: {method}")
    return str(value[_AUTHORIZER])


def _path(value: Any, path: str) -> Any:
    account = _account_of(value, "path")
    if not path:
        raise FunctionError("path must not be empty")
    return {_PATH: _fields(Check(path=path, account=account))}


def _service_account(value: Any, namespace: str, name: str) -> Any:
    _account_of(value, "serviceAccount")
    if not namespace or not name:
        raise FunctionError("Invalid service account name or namespace")
    return {_AUTHORIZER: f"{namespace}:{name}"}


def _group(value: Any, group: str) -> Any:
    return {_GROUP: _fields(Check(group=group, account=_account_of(value, "group")))}


def _of_group(value: Any, resource: str) -> Any:
    return _resource(replace(_check(value, _GROUP, "resource"), resource=resource))


def _refined(method: str, key: str) -> Callable[..., Any]:
    def refine(value: Any, text: str) -> Any:
        return _resource(replace(_check(value, _RESOURCE, method), **{key: text}))

    return refine


def _decided(value: Any, verb: str) -> Any:
    is_path = isinstance(value, Mapping) and _PATH in value
    check = replace(_check(value, _PATH if is_path else _RESOURCE, "check"), verb=verb)
    answers = _answers.get()
    if answers is None:
        raise FunctionError("no authorizer is at hand")
    decision = answers.known.get(check)
    if decision is None:
        answers.missing.append(check)
        raise FunctionError("the authorizer has not answered yet")
    return {_DECISION: [decision.is_allowed, decision.reason, decision.error]}


def _part(index: int, method: str) -> Callable[..., Any]:
    def part(value: Any) -> Any:
        found = value.get(_DECISION) if isinstance(value, Mapping) else None
        if not isinstance(found, list):
            raise FunctionError(f"no such overload: {method}")
        return bool(found[2]) if method == "errored" else found[index]

    return part


_METHODS: dict[str, Callable[..., Any]] = {
    "path": _path,
    "serviceAccount": _service_account,
    "group": _group,
    "resource": _of_group,
    "subresource": _refined("subresource", "subresource"),
    "namespace": _refined("namespace", "namespace"),
    "name": _refined("name", "name"),
    "fieldSelector": _refined("fieldSelector", "field_selector"),
    "labelSelector": _refined("labelSelector", "label_selector"),
    "check": _decided,
    "allowed": _part(0, "allowed"),
    "reason": _part(1, "reason"),
    "errored": _part(2, "errored"),
    "error": _part(2, "error"),
}
