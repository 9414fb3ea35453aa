"""x-kubernetes-validations: CEL rules of a schema, run over a value.

Rules are compiled when a definition is served, once. `self` is the value at the rule's place, `oldSelf` what it was
before; a rule that reads `oldSelf` runs only where there is something to compare with, or where it says
`optionalOldSelf`. Names that CEL reserves or cannot spell are escaped as upstream documents; texts with the formats
`date-time`, `date` and `duration` are timestamps and durations.

Source: apiextensions-apiserver/pkg/apiserver/schema/cel, k8s.io/apiserver/pkg/cel/escaping.go.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2

from controlplane.api import times
from controlplane.api.cel.environment import (
    DYN,
    CompileError,
    Environment,
    EvaluationError,
    Program,
)
from controlplane.api.cel.tagged import OPTIONAL, make
from controlplane.api.errors import Cause
from controlplane.api.schema.structural.node import MISSING, Node, Rule
from controlplane.api.schema.structural.validation import same
from controlplane.api.validation import causes

_RESERVED_WORDS = """
    true false null in as break const continue else for function if import let loop package namespace return
    var void while
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_MESSAGE_LIMIT_BYTES = 5 * 1024


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    program: Program | None
    message: Program | None
    reads_old: bool
    error: str = ""
    message_error: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a rule cannot be used. `path` is its place in the schema, `field` which text of it is wrong."""

    path: str
    rule: Rule
    field: str
    text: str


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment({"self": DYN, "oldSelf": DYN})


class Rules:
    """The rules of one schema and of all that is inside, compiled; None in `of` when there is none at all."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._own = [_compiled(rule) for rule in node.rules if rule.rule.strip()]
        self._fields = {
            key: rules for key, one in node.properties.items() if (rules := Rules.of(one))
        }
        self._values = Rules.of(node.values) if node.values is not None else None
        self._items = Rules.of(node.items) if node.items is not None else None

    @classmethod
    def of(cls, node: Node) -> Rules | None:
        """The rules of `node`, None when nothing in it has any."""
        return cls(node) if _has_rules(node) else None

    def validate(self, value: Any, old: Any = MISSING, path: str = "") -> list[Cause]:
        """What the rules say against `value`; `old` is what stood there before, MISSING for a create."""
        if value is None:
            return []
        found = [cause for one in self._own if (cause := self._run(one, value, old, path))]
        if isinstance(value, dict):
            for key, item in value.items():
                inner = self._fields.get(key)
                where = f"{path}.{key}" if path else key
                if inner is None and key not in self._node.properties and self._values:
                    inner, where = self._values, f"{path}[{key}]"
                if inner is not None:
                    before = old.get(key, MISSING) if isinstance(old, dict) else MISSING
                    found += inner.validate(item, before, where)
        elif isinstance(value, list) and self._items is not None:
            for number, item in enumerate(value):
                before = self._before(item, old)
                found += self._items.validate(item, before, f"{path}[{number}]")
        return found

    def _before(self, item: Any, old: Any) -> Any:
        """The item of the old list with the same keys; only map-like lists know which that is."""
        keys = self._node.list_map_keys
        if self._node.list_type != "map" or not isinstance(old, list) or not isinstance(item, dict):
            return MISSING
        for candidate in old:
            if isinstance(candidate, dict) and all(candidate.get(k) == item.get(k) for k in keys):
                return candidate
        return MISSING

    def _run(self, one: _Compiled, value: Any, old: Any, path: str) -> Cause | None:
        rule, shown = one.rule, self._node.type or "object"
        if one.program is None:
            return causes.invalid(path, shown, f"rule compile error: {one.error}")
        if one.reads_old and old is MISSING and not rule.optional_old_self:
            return None
        values = {"self": cel_value(value, self._node), "oldSelf": self._old(rule, old)}
        try:
            holds = one.program.evaluate(values)
        except EvaluationError as error:
            return causes.invalid(path, shown, _failed(str(error), rule))
        if holds is True:
            return None
        if not one.reads_old and old is not MISSING and same(value, old):
            # Ratcheting: it was so before, and this update does not touch it.
            return None
        detail = _message(one, values)
        where = path + rule.field_path if path else rule.field_path.lstrip(".")
        return _refusal(rule, where, value, detail)

    def _old(self, rule: Rule, old: Any) -> Any:
        if not rule.optional_old_self:
            return None if old is MISSING else cel_value(old, self._node)
        return make(OPTIONAL, [] if old is MISSING else [cel_value(old, self._node)])

    def reads_old(self) -> bool:
        """Whether a rule of the schema itself, not of what is inside, compares with the former value."""
        return any(one.reads_old for one in self._own)

    def compile_errors(self, path: str = "") -> Iterator[Problem]:
        """Each rule that is not valid CEL or gives no bool, each messageExpression that gives no text."""
        for one in self._own:
            if one.error:
                yield Problem(path, one.rule, "rule", one.error)
            elif one.message_error:
                yield Problem(path, one.rule, "messageExpression", one.message_error)
        for key, inner in self._fields.items():
            yield from inner.compile_errors(f"{path}.properties[{key}]")
        if self._values is not None:
            yield from self._values.compile_errors(f"{path}.additionalProperties")
        if self._items is not None:
            yield from self._items.compile_errors(f"{path}.items")


def _has_rules(node: Node) -> bool:
    inner = [*node.properties.values(), node.values, node.items]
    return bool(node.rules) or any(_has_rules(one) for one in inner if one is not None)


def _compiled(rule: Rule) -> _Compiled:
    try:
        program = _environment().compile(rule.rule)
    except CompileError as error:
        return _Compiled(rule, None, None, False, f"compilation failed: {error}")
    if program.result_type.name() not in ("BOOL", "DYN"):
        return _Compiled(rule, None, None, False, "cel expression must evaluate to a bool")
    reads_old = "oldSelf" in program.variables()
    if not rule.message_expression:
        return _Compiled(rule, program, None, reads_old)
    try:
        message = _environment().compile(rule.message_expression)
    except CompileError as error:
        text = f"messageExpression compilation failed: {error}"
        return _Compiled(rule, program, None, reads_old, message_error=text)
    if message.result_type.name() not in ("STRING", "DYN"):
        text = "messageExpression must evaluate to a string"
        return _Compiled(rule, program, None, reads_old, message_error=text)
    return _Compiled(rule, program, message, reads_old)


def _name(rule: Rule) -> str:
    return (rule.message or rule.rule).strip()


def _failed(error: str, rule: Rule) -> str:
    if error.startswith("no such overload"):
        return (
            f"'{error}': call arguments did not match a supported operator, function or macro "
            f"signature for rule: {_name(rule)}"
        )
    return f"{error} evaluating rule: {_name(rule)}"


def _message(one: _Compiled, values: Mapping[str, Any]) -> str:
    """The text of a broken rule: of its expression where that gives a usable one, else its own."""
    if one.message is not None:
        try:
            text = one.message.evaluate(values)
        except EvaluationError:
            text = None
        if isinstance(text, str):
            text = text.strip()
            if text and "\n" not in text and len(text.encode()) <= _MESSAGE_LIMIT_BYTES:
                return text
    return one.rule.message.strip() or f"failed rule: {one.rule.rule.strip()}"


def _refusal(rule: Rule, path: str, value: Any, detail: str) -> Cause:
    if rule.reason == "FieldValueForbidden":
        return causes.forbidden(path, detail)
    if rule.reason == "FieldValueRequired":
        return causes.required(path, detail)
    is_whole = isinstance(value, dict | list)
    word = "Duplicate value" if rule.reason == "FieldValueDuplicate" else "Invalid value"
    shown = "" if is_whole else f": {causes.show(value)}"
    if rule.reason == "FieldValueDuplicate":
        # Upstream's duplicates carry no detail.
        return Cause(path, f"{word}{shown}", rule.reason)
    return Cause(path, f"{word}{shown}: {detail}", "FieldValueInvalid")


def escaped(name: str) -> str:
    """A field's name as CEL must spell it; empty when it cannot be spelled at all."""
    if name in _RESERVED:
        return f"__{name}__"
    for raw, word in _ESCAPES:
        name = name.replace(raw, word)
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else ""


def cel_value(value: Any, node: Node | None) -> Any:
    """`value` as its rule sees it: names of fields escaped, times and durations typed."""
    if node is None:
        return value
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            inner = node.child(key)
            name = escaped(key) if key in node.properties else key
            if name:
                made[name] = cel_value(item, inner)
        return made
    if isinstance(value, list):
        return [cel_value(item, node.items) for item in value]
    if isinstance(value, str) and node.format:
        return _typed(value, node.format)
    if isinstance(value, int) and not isinstance(value, bool) and node.type == "number":
        return float(value)
    return value


def _typed(text: str, name: str) -> Any:
    name = name.replace("-", "")
    if name in ("datetime", "date"):
        try:
            found = datetime.datetime.fromisoformat(text)
        except ValueError:
            return text
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(found if found.tzinfo else found.replace(tzinfo=datetime.UTC))
        return stamp
    if name == "duration":
        try:
            seconds = times.parse_go_duration(text)
        except ValueError:
            return text
        length = duration_pb2.Duration()
        length.FromTimedelta(datetime.timedelta(seconds=seconds))
        return length
    return text
