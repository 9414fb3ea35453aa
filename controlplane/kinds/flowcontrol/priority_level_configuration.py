"""PriorityLevelConfigurations: how many requests of a level run at once, and how the others wait.

Source: pkg/apis/flowcontrol/validation/validation.go.
"""

from __future__ import annotations

import math
from typing import Any

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Cell
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Pointer, Shape
from controlplane.kinds.flowcontrol.status import FlowStrategy, validate_status

PRIORITY_LEVEL_CONFIGURATIONS = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "PriorityLevelConfiguration",
    "prioritylevelconfigurations",
    namespaced=False,
    subresources=(STATUS,),
)

_EXEMPT = "exempt"
_OLD_ZERO = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_MAX_QUEUES = 10_000_000
_MAX_HASH_BITS = 60
_TYPES = ("Exempt", "Limited")
_ANSWERS = ("Queue", "Reject")
_DEFAULT_QUEUING = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}
_EXEMPT_SHAPE = Shape(
    (
        ("NominalConcurrencyShares", "nominalConcurrencyShares", None),
        ("LendablePercent", "lendablePercent", None),
    )
)
_QUEUING = Shape(
    (
        ("Queues", "queues", 0),
        ("HandSize", "handSize", 0),
        ("QueueLengthLimit", "queueLengthLimit", 0),
    )
)
_LIMITED = Shape(
    (
        ("NominalConcurrencyShares", "nominalConcurrencyShares", 0),
        (
            "LimitResponse",
            "limitResponse",
            Shape((("Type", "type", ""), ("Queuing", "queuing", Pointer(_QUEUING)))),
        ),
        ("LendablePercent", "lendablePercent", None),
        ("BorrowingLimitPercent", "borrowingLimitPercent", None),
    )
)
_SPEC = Shape(
    (
        ("Type", "type", ""),
        ("Limited", "limited", Pointer(_LIMITED)),
        ("Exempt", "exempt", Pointer(_EXEMPT_SHAPE)),
    )
)

MANDATORY: dict[str, Obj] = {
    _EXEMPT: {
        "type": "Exempt",
        "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0},
    },
    "catch-all": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "lendablePercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    },
}
"""The specs that the levels of these names must have; the numbers of the exempt one are free."""


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    for key, shares in (("exempt", 0), ("limited", 30)):
        level = spec.get(key)
        if not isinstance(level, dict):
            continue
        for number, value in (("nominalConcurrencyShares", shares), ("lendablePercent", 0)):
            if level.get(number) is None:
                level[number] = value
        queuing = (level.get("limitResponse") or {}).get("queuing")
        if isinstance(queuing, dict):
            for number, value in _DEFAULT_QUEUING.items():
                queuing[number] = queuing.get(number) or value


def validate(obj: Obj) -> list[Cause]:
    """Causes in a level."""
    name, spec = meta.name(obj), meta.spec(obj)
    causes: list[Cause] = []
    if _OLD_ZERO in meta.annotations(obj):
        detail = f"annotation '{_OLD_ZERO}' is forbidden"
        causes.append(fields.forbidden("metadata.annotations", detail))
    causes += _spec(name, spec)
    fixed = MANDATORY.get(name)
    if fixed is not None:
        causes += _fixed(name, spec, fixed)
    return causes + validate_status(obj)


def _fixed(name: str, spec: Obj, fixed: Obj) -> list[Cause]:
    words = f"spec of '{name}'"
    if name == _EXEMPT:
        words += " except the 'spec.exempt' field"
        spec_but_numbers = {**spec, "exempt": fixed["exempt"]}
    else:
        spec_but_numbers = spec
    if is_same(spec_but_numbers, fixed):
        return []
    return [fields.invalid("spec", _SPEC.of(spec), f"{words} must equal the fixed value")]


def _spec(name: str, spec: Obj) -> list[Cause]:
    sort, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    causes: list[Cause] = []
    if (name == _EXEMPT) != (sort == "Exempt"):
        detail = "must be 'Exempt' if and only if `name` is 'exempt'"
        causes.append(fields.invalid("spec.type", sort, detail))
    if sort == "Exempt":
        if limited is not None:
            detail = "must be nil if the type is not Limited"
            causes.append(fields.forbidden("spec.limited", detail))
        if exempt is not None:
            causes += _shares(exempt, "spec.exempt") + _lendable(exempt, "spec.exempt")
    elif sort == "Limited":
        if exempt is not None:
            detail = "must be nil if the type is Limited"
            causes.append(fields.forbidden("spec.exempt", detail))
        if limited is None:
            detail = "must not be empty when type is Limited"
            causes.append(fields.required("spec.limited", detail))
        else:
            causes += _limited(limited, "spec.limited")
    else:
        causes.append(fields.not_supported("spec.type", sort, _TYPES))
    return causes


def _shares(level: Obj, path: str) -> list[Cause]:
    shares = level.get("nominalConcurrencyShares") or 0
    if shares >= 0:
        return []
    detail = "must be a non-negative integer"
    return [fields.invalid(f"{path}.nominalConcurrencyShares", shares, detail)]


def _lendable(level: Obj, path: str) -> list[Cause]:
    percent = level.get("lendablePercent") or 0
    if 0 <= percent <= 100:
        return []
    detail = "must be between 0 and 100, inclusive"
    return [fields.invalid(f"{path}.lendablePercent", percent, detail)]


def _limited(level: Obj, path: str) -> list[Cause]:
    causes = _shares(level, path)
    causes += _answer(level.get("limitResponse") or {}, f"{path}.limitResponse")
    causes += _lendable(level, path)
    borrowed = level.get("borrowingLimitPercent") or 0
    if borrowed < 0:
        detail = "if specified, must be a non-negative integer"
        causes.append(fields.invalid(f"{path}.borrowingLimitPercent", borrowed, detail))
    return causes


def _answer(answer: Obj, path: str) -> list[Cause]:
    sort, queuing, where = answer.get("type") or "", answer.get("queuing"), f"{path}.queuing"
    if sort == "Reject":
        if queuing is None:
            return []
        detail = "must be nil if limited.limitResponse.type is not Limited"
        return [fields.forbidden(where, detail)]
    if sort != "Queue":
        return [fields.not_supported(f"{path}.type", sort, _ANSWERS)]
    if queuing is None:
        detail = "must not be empty if limited.limitResponse.type is Limited"
        return [fields.required(where, detail)]
    return _queuing(queuing, where)


def _queuing(queuing: Obj, path: str) -> list[Cause]:
    length, queues = queuing.get("queueLengthLimit") or 0, queuing.get("queues") or 0
    hand, causes = queuing.get("handSize") or 0, []
    if length <= 0:
        causes.append(fields.invalid(f"{path}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        causes.append(fields.invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > _MAX_QUEUES:
        detail = f"must not be greater than {_MAX_QUEUES}"
        causes.append(fields.invalid(f"{path}.queues", queues, detail))
    if hand <= 0:
        detail = "must be positive"
    elif hand > queues:
        detail = f"should not be greater than queues ({queues})"
    elif math.ceil(math.log2(queues) * hand) > _MAX_HASH_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} "
            f"should not be greater than {_MAX_HASH_BITS}"
        )
    else:
        return causes
    return [*causes, fields.invalid(f"{path}.handSize", hand, detail)]


def _number(*path: str) -> Cell:
    """A number of the limited part; `<none>` when the part is missing."""

    def cell(obj: Obj, now: float) -> Any:
        level = meta.spec(obj).get("limited")
        for key in path[:-1]:
            level = (level or {}).get(key)
        return "<none>" if level is None else level.get(path[-1]) or 0

    return cell


COLUMNS = (
    NAME,
    text("Type", cells.field("spec.type"), "Whether requests are limited."),
    text("NominalConcurrencyShares", _number("nominalConcurrencyShares"), "The level's share."),
    text("Queues", _number("limitResponse", "queuing", "queues"), "How many queues there are."),
    text("HandSize", _number("limitResponse", "queuing", "handSize"), "Queues a flow may use."),
    text(
        "QueueLengthLimit",
        _number("limitResponse", "queuing", "queueLengthLimit"),
        "How many wait in a queue.",
    ),
    AGE,
)

KIND = Kind(
    PRIORITY_LEVEL_CONFIGURATIONS,
    strategy=FlowStrategy,
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.CHANGED,
)
