"""What expressions of admission ask an authorizer: `authorizer.group('apps').resource('x').check('get').allowed()`.

Authorizers, checks and decisions are maps like the other types of Kubernetes. Only types are known here: who evaluates
such expressions gives the functions their meaning. Source: k8s.io/apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

from typing import Any, NoReturn

from controlplane.api.cel.tagged import FunctionError

STRING, MAP, BOOL = "STRING", "MAP", "BOOL"

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


def unanswered(*arguments: Any) -> NoReturn:
    """There is nobody to ask."""
    del arguments
    raise FunctionError("no authorizer is at hand")
