"""Lists that clients read though their kind is not served here, answered as empty.

kubectl, before it says that a manifest's kind is unknown, asks whether a custom resource definition
has it; it takes any refusal of that list for the cause and prints it instead of the plain "no
matches for kind". No definition can be made here, so that none exists is the true answer. Discovery
does not name these lists.
"""

from typing import Any

from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import Response, json_response

_KINDS = {
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"): "CustomResourceDefinitionList",
}


def answer(info: RequestInfo) -> Response | None:
    """The empty list that `info` asks for, or None if it is nothing of that sort."""
    kind = _KINDS.get((info.group, info.version, info.resource))
    if kind is None or info.verb != "list" or info.namespace:
        return None
    empty: dict[str, Any] = {
        "kind": kind,
        "apiVersion": f"{info.group}/{info.version}",
        "metadata": {"resourceVersion": "1"},
        "items": [],
    }
    return json_response(200, empty)
