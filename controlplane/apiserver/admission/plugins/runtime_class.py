"""RuntimeClass: a pod takes over the overhead and the scheduling of the class that it names.

Source: plugin/pkg/admission/runtimeclass.
"""

from controlplane.api import errors, meta, quantity
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.node.runtime_class import RUNTIME_CLASSES

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


class RuntimeClass:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New pods."""
        return operation == CREATE and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Set overhead, node selector and tolerations."""
        spec = attributes.require_object().setdefault("spec", {})
        found = await self._class_of(attributes, spec)
        if found is None:
            return
        overhead = (found.get("overhead") or {}).get("podFixed")
        if found.get("overhead") is not None:
            if spec.get("overhead") and not _are_equal(spec["overhead"], overhead or {}):
                self._refuse(attributes, _MISMATCH)
            if overhead:
                spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        selector = dict(spec.get("nodeSelector") or {})
        for key, value in sorted((scheduling.get("nodeSelector") or {}).items()):
            if selector.get(key, value) != value:
                self._refuse(
                    attributes,
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                    f"pod.spec.nodeSelector[{key}] = {selector[key]}",
                )
            selector[key] = value
        if selector:
            spec["nodeSelector"] = selector
        tolerations = list(spec.get("tolerations") or ())
        for one in scheduling.get("tolerations") or ():
            if one not in tolerations:
                tolerations.append(dict(one))
        if tolerations:
            spec["tolerations"] = tolerations

    async def validate(self, attributes: Attributes) -> None:
        """Refuse an overhead that no class has set."""
        spec = meta.spec(attributes.require_object())
        found = await self._class_of(attributes, spec)
        given = spec.get("overhead") or {}
        if found is not None and found.get("overhead") is not None:
            if not _are_equal(given, found["overhead"].get("podFixed") or {}):
                self._refuse(attributes, _MISMATCH)
        elif given:
            why = (
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )
            self._refuse(attributes, why)

    async def _class_of(self, attributes: Attributes, spec: Obj) -> Obj | None:
        name = spec.get("runtimeClassName")
        if name is None:
            return None
        found = await self._lookup.find(RUNTIME_CLASSES, "", name)
        if found is None:
            self._refuse(attributes, f'pod rejected: RuntimeClass "{name}" not found')
        return found

    def _refuse(self, attributes: Attributes, why: str) -> None:
        raise errors.Forbidden.of(attributes.resource, attributes.name, why)


def _are_equal(one: Obj, other: Obj) -> bool:
    return one.keys() == other.keys() and all(
        quantity.parse(one[name]) == quantity.parse(other[name]) for name in one
    )
