"""The order of admission: defaults and other changes first, then the rules that may refuse.

`mutate` and `validate` are pure, since updates run them inside a storage transaction loop; only the rules for creation
may read other objects.
"""

from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import objects
from controlplane.apiserver.admission import pods
from controlplane.apiserver.admission.namespace import NamespaceLifecycle
from controlplane.kinds.core.pod.resource import PODS


class Admission:
    """The chain, same for all kinds."""

    def __init__(
        self,
        lifecycle: NamespaceLifecycle,
        *,
        not_ready_seconds: int = 300,
        unreachable_seconds: int = 300,
    ) -> None:
        self._lifecycle = lifecycle
        self._not_ready_seconds = not_ready_seconds
        self._unreachable_seconds = unreachable_seconds

    def mutate(self, kind: Kind, obj: Obj, *, is_create: bool) -> None:
        """Complete `obj` in place."""
        if is_create and kind.resource == PODS:
            pods.complete(obj, self._not_ready_seconds, self._unreachable_seconds)
        kind.default(obj)

    def validate(self, kind: Kind, obj: Obj) -> list[Cause]:
        """What `obj` breaks by itself."""
        return objects.validate_create(kind, obj)

    def validate_update(
        self, kind: Kind, obj: Obj, live: Obj, subresource: str = ""
    ) -> list[Cause]:
        """What `obj` breaks in the place of `live`. A status write cannot break what it does not touch."""
        return [] if subresource else objects.validate_update(kind, obj, live)

    async def admit_create(self, resource: Resource, obj: Obj) -> None:
        """Refuse a creation that the rest of the cluster forbids."""
        await self._lifecycle.admit(resource, obj)
