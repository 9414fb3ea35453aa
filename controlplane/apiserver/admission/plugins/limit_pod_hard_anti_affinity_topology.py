"""LimitPodHardAntiAffinityTopology: a pod keeps others off its node at most, not off a whole zone.

Source: plugin/pkg/admission/antiaffinity.
"""

from controlplane.api import meta
from controlplane.api.errors import Forbidden
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.kinds.core.pod.resource import PODS

_HOSTNAME = "kubernetes.io/hostname"
_TERMS = "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"


class LimitPodHardAntiAffinityTopology:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of pods."""
        return operation in (CREATE, UPDATE) and resource == PODS and not subresource

    async def validate(self, attributes: Attributes) -> None:
        """Refuse required terms of a wider topology."""
        spec = meta.spec(attributes.require_object())
        for term in meta.get_path(spec, _TERMS) or ():
            key = term.get("topologyKey") or ""
            if key != _HOSTNAME:
                raise Forbidden.of(
                    attributes.resource,
                    attributes.name,
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey "
                    f"{key} but only key {_HOSTNAME} is allowed",
                )
