"""TaintNodesByCondition: a new node takes no pods until the node lifecycle controller has seen that it is ready.

Source: plugin/pkg/admission/nodetaint.
"""

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.core.node import NODES

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New nodes."""
        return operation == CREATE and resource == NODES and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Add the taint, once."""
        spec = attributes.require_object().setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(_NOT_READY.items() <= taint.items() for taint in taints):
            spec["taints"] = [*taints, dict(_NOT_READY)]
