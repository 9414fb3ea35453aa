"""ExtendedResourceToleration: a pod that asks for a device tolerates the taint that keeps others off its nodes.

Source: plugin/pkg/admission/extendedresourcetoleration.
"""

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.resource_names import is_extended


class ExtendedResourceToleration:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of pods."""
        return operation in (CREATE, UPDATE) and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Add a toleration of each extended resource that a container requests."""
        spec = attributes.require_object().setdefault("spec", {})
        wanted = {
            name
            for field in ("containers", "initContainers")
            for container in spec.get(field) or ()
            for name in (container.get("resources") or {}).get("requests") or ()
            if is_extended(name)
        }
        for name in sorted(wanted):
            toleration = {"key": name, "operator": "Exists", "effect": "NoSchedule"}
            if toleration not in (tolerations := spec.get("tolerations") or []):
                spec["tolerations"] = [*tolerations, toleration]
