"""Priority: the number and the preemption policy of a pod. Without priority classes all pods have 0.

Source: plugin/pkg/admission/priority.
"""

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.core.pod.resource import PODS


class Priority:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New pods."""
        return operation == CREATE and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Set what is not given."""
        spec = attributes.require_object().setdefault("spec", {})
        if spec.get("priority") is None:
            spec["priority"] = 0
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
