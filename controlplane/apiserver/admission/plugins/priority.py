"""Priority: a pod's class becomes its number and its preemption policy; one class at most is everybody's default.

Source: plugin/pkg/admission/priority.
"""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.scheduling.priority_class import PRIORITY_CLASSES

_PREEMPTS = "PreemptLowerPriority"


class Priority:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of pods and of classes."""
        return (
            operation in (CREATE, UPDATE)
            and resource in (PODS, PRIORITY_CLASSES)
            and not subresource
        )

    async def admit(self, attributes: Attributes) -> None:
        """Set number and policy of a new pod; keep them in an update that leaves them out."""
        if attributes.resource != PODS:
            return
        spec = attributes.require_object().setdefault("spec", {})
        if attributes.operation == UPDATE:
            old = meta.spec(attributes.old or {})
            for field in ("priority", "preemptionPolicy"):
                if spec.get(field) is None and old.get(field) is not None:
                    spec[field] = old[field]
            return
        found = await self._class_of(attributes, str(spec.get("priorityClassName") or ""))
        priority = int(found.get("value") or 0)
        policy = found.get("preemptionPolicy") or _PREEMPTS
        if meta.name(found):
            spec["priorityClassName"] = meta.name(found)
        given = spec.get("priority")
        if given is not None and given != priority:
            self._refuse(
                attributes,
                f"the integer value of priority ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {priority} from the given PriorityClass "
                "name",
            )
        spec["priority"] = priority
        given = spec.get("preemptionPolicy")
        if given and given != policy:
            self._refuse(
                attributes,
                f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass "
                "name",
            )
        spec["preemptionPolicy"] = policy

    async def validate(self, attributes: Attributes) -> None:
        """Refuse a second default class."""
        if attributes.resource != PRIORITY_CLASSES:
            return
        wanted = attributes.require_object()
        if not wanted.get("globalDefault"):
            return
        default = await self._default()
        if default is not None and meta.name(default) != meta.name(wanted):
            why = (
                f"PriorityClass {meta.name(default)} is already marked as default. Only one "
                "default can exist"
            )
            self._refuse(attributes, why)

    def _refuse(self, attributes: Attributes, why: str) -> None:
        raise errors.Forbidden.of(attributes.resource, attributes.name, why)

    async def _class_of(self, attributes: Attributes, name: str) -> Obj:
        if not name:
            return await self._default() or {}
        found = await self._lookup.find(PRIORITY_CLASSES, "", name)
        if found is None:
            self._refuse(attributes, f"no PriorityClass with name {name} was found")
        return found or {}

    async def _default(self) -> Obj | None:
        """The class of pods that name none; the lowest, should there be two after a race."""
        classes = await self._lookup.all(PRIORITY_CLASSES)
        marked = [one for one in classes if one.get("globalDefault")]
        return min(marked, key=lambda one: int(one.get("value") or 0), default=None)
