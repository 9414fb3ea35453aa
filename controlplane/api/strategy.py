"""What differs between kinds: a `Strategy` is asked by the registry at fixed points of every write.

The base class is the strategy of kinds without rules of their own. Methods change the object they are given, which is
never a shared one. All are pure: they run inside a storage update and are repeated when another writer was first. What
an object takes of a range that many share is the business of the API server's allocators.
"""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE asks for; None leaves the kind's default."""

    grace_seconds: int | None = None
    propagation: str = ""
    uid: str | None = None
    resource_version: str | None = None
    is_dry_run: bool = False


class Strategy:
    """The rules of one kind."""

    # Kinds whose metadata.generation counts changes of their spec.
    has_generation = False
    # Whether a PUT without resourceVersion overwrites whatever is there.
    allows_unconditional_update = True
    # Seconds after which the store forgets an object; 0 keeps it.
    ttl_seconds = 0
    # Whether a PUT of an object that is not there makes it.
    creates_on_update = False
    # Whether DELETE answers with the object when it is gone, and not with a Status.
    returns_deleted = False
    # Whether a DELETE that means another object or state is refused in the words of the store.
    tells_conflicts_as_the_store = False
    # Whether a DELETE that does not say what becomes of dependents leaves them, and what clients are then warned of.
    orphans_by_default = False
    unsaid_propagation_warning = ""
    # Whether an ending object tells how many seconds it was given.
    has_grace = True

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def prepare_for_create(self, obj: Obj) -> None:
        """Reset what a client may not set at creation."""
        if self.resource.has_status():
            obj.pop("status", None)
        if self.has_generation:
            meta.ensure_metadata(obj)["generation"] = 1

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Reset what a plain update may not change."""
        if self.resource.has_status():
            _copy_field("status", live, obj)

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """Keep of `obj` the status and nothing else but plain metadata."""
        for field in list(obj):
            if field not in ("status", "metadata", "apiVersion", "kind"):
                del obj[field]
        for field, value in live.items():
            if field not in ("status", "metadata"):
                obj[field] = value
        if "ownerReferences" in meta.metadata(live):
            obj["metadata"]["ownerReferences"] = live["metadata"]["ownerReferences"]
        else:
            obj["metadata"].pop("ownerReferences", None)

    def bump_generation(self, obj: Obj, live: Obj) -> None:
        """Count a change of the spec."""
        generation = int(meta.metadata(live).get("generation") or 0)
        if self.has_generation and _without_status(obj) != _without_status(live):
            generation += 1
        if generation:
            obj["metadata"]["generation"] = generation
        else:
            obj["metadata"].pop("generation", None)

    def grace_seconds(self, live: Obj, options: DeleteOptions) -> int:
        """How long the object stays after DELETE; zero removes it at once."""
        del live, options
        return 0

    def keeps(self, live: Obj) -> str:
        """Why the object may not be deleted; empty when it may."""
        del live
        return ""

    def mark_deleting(self, obj: Obj) -> None:
        """Note in the object that it is ending, beyond deletionTimestamp."""
        del obj

    def holds_deletion(self, obj: Obj) -> bool:
        """Whether something beyond metadata.finalizers keeps an ending object."""
        del obj
        return False


class SpecStrategy(Strategy):
    """Kinds whose spec is counted by metadata.generation."""

    has_generation = True


def _copy_field(field: str, source: Obj, target: Obj) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _without_status(obj: Obj) -> Obj:
    ignored = ("status", "metadata", "apiVersion", "kind")
    return {field: value for field, value in obj.items() if field not in ignored}
