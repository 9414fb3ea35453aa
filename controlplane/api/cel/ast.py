"""What can be read of a compiled expression: which variables it uses, and how deep its loops stand.

The library gives the checked expression as a message `cel.expr.CheckedExpr`; the field numbers are those of
github.com/google/cel-spec, proto/cel/expr/{checked,syntax}.proto. The messages live in a pool of their own.
"""

from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "quorate.cel"
# message -> field -> (number, type); a type in capitals is a scalar, `*` marks repeated ones.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "CheckedExpr": {"expr": (4, "Expr")},
    "Expr": {
        "const_expr": (3, "Constant"),
        "ident_expr": (4, "Ident"),
        "select_expr": (5, "Select"),
        "call_expr": (6, "Call"),
        "list_expr": (7, "CreateList"),
        "struct_expr": (8, "CreateStruct"),
        "comprehension_expr": (9, "Comprehension"),
    },
    "Constant": {"int64_value": (3, "INT64"), "string_value": (6, "STRING")},
    "Ident": {"name": (1, "STRING")},
    "Select": {"operand": (1, "Expr"), "field": (2, "STRING"), "test_only": (3, "BOOL")},
    "Call": {"target": (1, "Expr"), "function": (2, "STRING"), "args": (3, "*Expr")},
    "CreateList": {"elements": (1, "*Expr")},
    "CreateStruct": {"entries": (2, "*Entry")},
    "Entry": {"field_key": (2, "STRING"), "map_key": (3, "Expr"), "value": (4, "Expr")},
    "Comprehension": {
        "iter_var": (1, "STRING"),
        "iter_range": (2, "Expr"),
        "accu_var": (3, "STRING"),
        "accu_init": (4, "Expr"),
        "loop_condition": (5, "Expr"),
        "loop_step": (6, "Expr"),
        "result": (7, "Expr"),
        "iter_var2": (8, "STRING"),
    },
}
_SCALARS = {"INT64": _Field.TYPE_INT64, "STRING": _Field.TYPE_STRING, "BOOL": _Field.TYPE_BOOL}


@cache
def _checked_expr() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="quorate/cel.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        row = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = row.field.add(name=name, number=number)
            is_repeated, kind = kind.startswith("*"), kind.removeprefix("*")
            field.label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


def parse(serialized: bytes) -> Any:
    """The root `Expr` of a serialized expression."""
    wrapper = any_pb2.Any.FromString(serialized)
    return _checked_expr().FromString(wrapper.value).expr


def variables(serialized: bytes) -> frozenset[str]:
    """Names of the variables that are read and not made by the expression itself (as in `all(x, ...)`)."""
    found: set[str] = set()
    _collect(parse(serialized), frozenset(), found)
    return frozenset(found)


def _collect(expr: Any, bound: frozenset[str], found: set[str]) -> None:
    if expr.HasField("ident_expr") and expr.ident_expr.name not in bound:
        found.add(expr.ident_expr.name)
    for part in _outside(expr):
        _collect(part, bound, found)
    if expr.HasField("comprehension_expr"):
        loop = expr.comprehension_expr
        inner = bound | {loop.iter_var, loop.accu_var, loop.iter_var2}
        for part in _inside(expr):
            _collect(part, inner, found)


def _outside(expr: Any) -> list[Any]:
    """The parts of an expression that see the same variables as itself; a part that is not there is empty."""
    if expr.HasField("select_expr"):
        return [expr.select_expr.operand]
    if expr.HasField("call_expr"):
        return [expr.call_expr.target, *expr.call_expr.args]
    if expr.HasField("list_expr"):
        return list(expr.list_expr.elements)
    if expr.HasField("struct_expr"):
        entries = expr.struct_expr.entries
        return [entry.map_key for entry in entries] + [entry.value for entry in entries]
    if expr.HasField("comprehension_expr"):
        return [expr.comprehension_expr.iter_range, expr.comprehension_expr.accu_init]
    return []


def _inside(expr: Any) -> list[Any]:
    """The parts of an expression that see variables of its own, too: those of a loop that run again and again."""
    if expr.HasField("comprehension_expr"):
        loop = expr.comprehension_expr
        return [loop.loop_condition, loop.loop_step, loop.result]
    return []


def loop_depth(serialized: bytes) -> int:
    """How many loops (`all`, `map`, ...) stand inside each other at most."""
    return _depth(parse(serialized))


def _depth(expr: Any) -> int:
    inner = max((_depth(part) for part in _outside(expr)), default=0)
    return max(inner, max((1 + _depth(part) for part in _inside(expr)), default=0))


def fields_of(serialized: bytes, variable: str) -> frozenset[str] | None:
    """The fields of a variable that an expression selects; None when it uses the variable as a whole."""
    found: set[str] = set()
    return frozenset(found) if _select(parse(serialized), variable, found) else None


def _select(expr: Any, variable: str, found: set[str]) -> bool:
    if expr.HasField("ident_expr"):
        return bool(expr.ident_expr.name != variable)
    if expr.HasField("select_expr"):
        operand = expr.select_expr.operand
        if operand.HasField("ident_expr") and operand.ident_expr.name == variable:
            found.add(expr.select_expr.field)
            return True
    return all(_select(part, variable, found) for part in (*_outside(expr), *_inside(expr)))
