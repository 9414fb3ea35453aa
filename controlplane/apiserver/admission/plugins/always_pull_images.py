"""AlwaysPullImages: every container pulls its image, so that only who may pull an image can run it.

Source: plugin/pkg/admission/alwayspullimages.
"""

from collections.abc import Iterator

from controlplane.api import meta
from controlplane.api.meta import Obj, View
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.kinds.core.pod.resource import PODS

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


class AlwaysPullImages:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of pods."""
        return operation in (CREATE, UPDATE) and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Set the policy; an update without a new image keeps what was there before the plugin was on."""
        spec = attributes.require_object().setdefault("spec", {})
        if attributes.operation == UPDATE and _images(spec) <= _images(
            meta.spec(attributes.old or {})
        ):
            return
        for container in _containers(spec):
            container["imagePullPolicy"] = "Always"
        for volume in spec.get("volumes") or ():
            if volume.get("image") is not None:
                volume["image"]["pullPolicy"] = "Always"


def _containers(spec: Obj) -> Iterator[Obj]:
    for field in _CONTAINERS:
        yield from spec.get(field) or ()


def _images(spec: View) -> set[str | None]:
    return {one.get("image") for field in _CONTAINERS for one in spec.get(field) or ()}
