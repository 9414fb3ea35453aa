"""Whether the expressions that select devices compile, and give a bool.

Source: k8s.io/dynamic-resource-allocation/cel/compile.go.
"""

from __future__ import annotations

from functools import cache

from controlplane.api.cel import messages
from controlplane.api.cel.environment import CompileError, Environment, message_type

_DEVICE = {
    "driver": "string",
    "attributes": messages.VALUE,
    "capacity": messages.VALUE,
    "allowMultipleAllocations": "bool",
}


def problem(expression: str) -> str:
    """Why the expression cannot select devices; empty when it can."""
    try:
        found = _environment().compile(expression).result_type.name()
    except CompileError as error:
        return f"compilation failed: {error}"
    if found in ("BOOL", "DYN"):
        return ""
    return f"must evaluate to bool or the unknown type, not {found.lower()}"


@cache
def _environment() -> Environment:
    pool = messages.new_pool()
    messages.add(pool, "devices", "kubernetes", {"DRADevice": _DEVICE})
    return Environment(
        {"device": message_type("kubernetes.DRADevice")}, descriptor_pool=pool, has_bindings=True
    )
