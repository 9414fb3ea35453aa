"""Label and field selectors: parse the query forms and the object form, and match.

Grammar of label selectors as upstream's labels.Parse: `a=b`, `a==b`, `a!=b`, `a in (x,y)`,
`a notin (x,y)`, `a`, `!a`, `a>1`, `a<1`, joined by commas. Absent keys match `!=` and `notin`.
Field selectors know `=`, `==` and `!=` joined by commas, with backslash escapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import names
from controlplane.api.errors import BadRequest
from controlplane.api.meta import Obj

_TOKEN_OF_SYNTAX = re.compile(r"!=|==|=|!|\(|\)|>|<")
_TOKEN = re.compile(r"\s*(?:(!=|==|=|!|,|\(|\)|>|<)|([^\s!=,()<>]+))")
_OPERATORS = {"in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label: In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        try:
            number, bound = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > bound if self.operator == "Gt" else number < bound

    def __str__(self) -> str:
        match self.operator:
            case "Exists":
                return self.key
            case "DoesNotExist":
                return "!" + self.key
            case "Gt" | "Lt":
                return self.key + (">" if self.operator == "Gt" else "<") + self.values[0]
        if len(self.values) == 1:
            return self.key + ("=" if self.operator == "In" else "!=") + self.values[0]
        word = "in" if self.operator == "In" else "notin"
        return f"{self.key} {word} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements together; none means everything, `nothing` means no object at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        if self.nothing:
            return False
        return all(requirement.matches(labels or {}) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.requirements and not self.nothing

    @staticmethod
    def from_object(selector: Mapping[str, Any] | None) -> LabelSelector:
        """From a metav1.LabelSelector: None selects nothing, {} everything."""
        if selector is None:
            return LabelSelector(nothing=True)
        rows = [
            Requirement(key, "In", (str(value),))
            for key, value in sorted((selector.get("matchLabels") or {}).items())
        ]
        for expression in selector.get("matchExpressions") or ():
            operator = expression.get("operator", "")
            if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
                raise ValueError(f'"{operator}" is not a valid label selector operator')
            values = tuple(expression.get("values") or ())
            rows.append(Requirement(expression.get("key", ""), operator, values))
        return LabelSelector(tuple(rows))

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    """Parse the `labelSelector` query parameter; BadRequest when it is not one."""
    tokens = _tokens(text)
    rows: list[Requirement] = []
    position = 0
    while position < len(tokens):
        row, position = _requirement(text, tokens, position)
        rows.append(row)
        if position < len(tokens):
            if tokens[position] != ",":
                raise BadRequest(f"found '{tokens[position]}', expected: ',' or 'end of string'")
            position += 1
            if position == len(tokens):
                raise _bad_label(text, "found '', expected: identifier after ','")
    return LabelSelector(tuple(sorted(rows, key=lambda row: row.key)))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _bad_label(text, f"unexpected character at {position}")
        tokens.append(found.group(1) or found.group(2))
        position = found.end()
    return tokens


def _bad_label(text: str, why: str) -> BadRequest:
    del text
    return BadRequest(f"unable to parse requirement: {why}")


def _requirement(text: str, tokens: list[str], position: int) -> tuple[Requirement, int]:
    negated = tokens[position] == "!"
    if negated:
        position += 1
    key = tokens[position] if position < len(tokens) else ""
    problems = names.qualified_name(key)
    if problems:
        raise BadRequest(
            f'unable to parse requirement: <nil>: Invalid value: "{key}": ' + "; ".join(problems)
        )
    position += 1
    following = tokens[position] if position < len(tokens) else ","
    if negated or following == ",":
        return Requirement(key, "DoesNotExist" if negated else "Exists"), position
    if following in (">", "<"):
        value = tokens[position + 1] if position + 1 < len(tokens) else ""
        if not value.lstrip("-").isdigit():
            raise _bad_label(
                text, f"for 'Gt', 'Lt' operators, the value must be an integer: {value!r}"
            )
        return Requirement(key, "Gt" if following == ">" else "Lt", (value,)), position + 2
    operator = _OPERATORS.get(following)
    if operator is None:
        raise _bad_label(text, f"found '{following}', expected: in, notin, =, ==, !=, gt, lt")
    position += 1
    if following in ("in", "notin"):
        values, position = _value_set(text, tokens, position)
    elif position < len(tokens) and tokens[position] != ",":
        if _TOKEN_OF_SYNTAX.fullmatch(tokens[position]):
            raise _bad_label(text, f"found '{tokens[position]}', expected: identifier")
        values, position = (tokens[position],), position + 1
    else:
        values = ("",)
    for value in values:
        problems = names.label_value(value)
        if problems:
            raise BadRequest(
                f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": '
                + "; ".join(problems)
            )
    return Requirement(key, operator, values), position


def _value_set(text: str, tokens: list[str], position: int) -> tuple[tuple[str, ...], int]:
    if position >= len(tokens) or tokens[position] != "(":
        raise _bad_label(text, "found '', expected: '('")
    position += 1
    values: list[str] = []
    pending = ""
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == ")":
            values.append(pending)
            return tuple(dict.fromkeys(values)), position
        if token == ",":
            values.append(pending)
            pending = ""
        else:
            pending = token
    raise _bad_label(text, "found '', expected: ',' or ')'")


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Conditions (field, negated, value) on the fields a kind can be selected by."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.terms

    def check(self, allowed: Sequence[str], refusal: str) -> None:
        """BadRequest when a field is none of the `allowed` labels; `refusal` has a place for the `{label}`."""
        for field, _, _ in self.terms:
            if field not in allowed:
                raise BadRequest(refusal.format(label=field))

    def matches(self, obj: Obj, text_of: Callable[[Obj, str], str]) -> bool:
        """Whether the object is selected; `text_of(obj, label)` is a kind's `field_text`."""
        return all(
            (text_of(obj, field) == value) is not negated for field, negated, value in self.terms
        )

    def exact(self, field: str) -> str | None:
        """The one value the field must have; None when the selector does not pin it."""
        for term, negated, value in self.terms:
            if term == field and not negated:
                return value
        return None

    def __str__(self) -> str:
        return ",".join(f"{f}{'!=' if n else '='}{_escape(v)}" for f, n, v in self.terms)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def parse_field_selector(text: str) -> FieldSelector:
    """Parse the `fieldSelector` query parameter; BadRequest when it is not one."""
    terms: list[tuple[str, bool, str]] = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        found = re.fullmatch(r"\s*([^=!]+?)\s*(!=|==|=)(.*)", part)
        if found is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        value = re.sub(r"\\([\\,=])", r"\1", found.group(3).strip())
        terms.append((found.group(1), found.group(2) == "!=", value))
    return FieldSelector(tuple(terms))


def text_at(obj: Mapping[str, Any], path: str) -> str:
    """The text a field selector compares with: missing is empty, booleans are true and false."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
