"""How endpoints are laid into EndpointSlices with few writes: pure.

As upstream: what is there stays where it is; new endpoints go first into slices that change anyway, then into the one
unchanged slice they fill best, then into new slices. Slices are never merged for tidiness: each write is sent to every
node.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Key, Obj

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """What to write."""

    create: tuple[Obj, ...] = ()
    update: tuple[Obj, ...] = ()
    delete: tuple[Obj, ...] = ()

    def __add__(self, other: "SlicePlan") -> "SlicePlan":
        """Both."""
        return SlicePlan(
            self.create + other.create, self.update + other.update, self.delete + other.delete
        )


def ports_key(ports: Sequence[Obj] | None) -> frozenset[tuple[str, str, int, str]]:
    """Ports as a set: slices with the same ports may hold each other's endpoints."""
    return frozenset(
        (
            str(port.get("name") or ""),
            str(port.get("protocol") or "TCP"),
            int(port.get("port") or 0),
            str(port.get("appProtocol") or ""),
        )
        for port in ports or ()
    )


def identity_of(endpoint: Obj) -> tuple[object, ...]:
    """What makes an endpoint the same one before and after a change."""
    target = endpoint.get("targetRef") or {}
    return (
        tuple(sorted(endpoint.get("addresses") or ())),
        endpoint.get("hostname") or "",
        target.get("namespace") or "",
        target.get("name") or "",
    )


def lay_out(
    existing: Sequence[Obj],
    desired: Iterable[Obj],
    relabel: Callable[[Obj], Obj],
    new_slice: Callable[[], Obj],
    limit: int,
) -> SlicePlan:
    """Bring slices of equal ports to hold the desired endpoints, at most `limit` each.

    `relabel(slice)` gives the labels and annotations a slice should have (a changed copy, or the slice itself).
    """
    left = {identity_of(endpoint): endpoint for endpoint in desired}
    updated: dict[str, Obj] = {}
    unchanged: dict[str, Obj] = {}
    deleted: list[Obj] = []
    for current in existing:
        before = current.get("endpoints") or []
        kept = [found for e in before if (found := left.pop(identity_of(e), None)) is not None]
        labelled = relabel(current)
        if not kept and before:
            deleted.append(current)
        elif kept != before or labelled is not current:
            updated[meta.name(current)] = {**labelled, "endpoints": kept}
        else:
            unchanged[meta.name(current)] = current
    waiting = list(left.values())
    for name in sorted(updated, key=lambda n: -len(updated[n]["endpoints"])):
        room = limit - len(updated[name]["endpoints"])
        updated[name]["endpoints"] = [*updated[name]["endpoints"], *waiting[:room]]
        waiting = waiting[max(0, room) :]
    created: list[Obj] = []
    while waiting:
        best = _best_fit(unchanged, len(waiting), limit)
        if best is not None:
            slice_ = unchanged.pop(best)
            updated[best] = {**slice_, "endpoints": [*(slice_.get("endpoints") or []), *waiting]}
            break
        created.append({**new_slice(), "endpoints": waiting[:limit]})
        waiting = waiting[limit:]
    return SlicePlan(tuple(created), tuple(updated.values()), tuple(deleted))


def _best_fit(slices: Mapping[str, Obj], count: int, limit: int) -> str | None:
    """The fullest slice that takes all `count` endpoints; a full load goes into a slice of its own."""
    if count >= limit:
        return None
    fitting = [
        (len(slice_.get("endpoints") or []), name)
        for name, slice_ in slices.items()
        if slice_.get("endpoints") and len(slice_["endpoints"]) + count <= limit
    ]
    return max(fitting)[1] if fitting else None


class SliceTracker:
    """Which slices were written and are not in the cache yet, so that nobody decides on what it does not show.

    Without it a controller would make the same slice twice.
    """

    def __init__(self) -> None:
        self._written: dict[Key, dict[str, int]] = {}
        self._deleted: dict[Key, set[str]] = {}

    def wrote(self, key: Key, slice_: Obj) -> None:
        """The server answered with this slice."""
        self._written.setdefault(key, {})[meta.uid(slice_)] = meta.generation(slice_)

    def deleted(self, key: Key, uid: str) -> None:
        """The server took a slice away."""
        self._written.get(key, {}).pop(uid, None)
        self._deleted.setdefault(key, set()).add(uid)

    def is_stale(self, key: Key, cached: Sequence[Obj]) -> bool:
        """Whether the cache lags behind what was written for the owner."""
        generations = {meta.uid(slice_): meta.generation(slice_) for slice_ in cached}
        written = self._written.get(key, {})
        if any(generations.get(uid, -1) < generation for uid, generation in written.items()):
            return True
        gone = self._deleted.get(key, set()) & generations.keys()
        self._deleted.pop(key, None)
        if gone:
            self._deleted[key] = gone
        return bool(gone)

    def owners_of(self, changed: Sequence[Obj | None], manager: str) -> list[Key]:
        """The owners of a slice, before and after a change, as far as `manager` keeps it; a deletion is noted."""
        _, new = changed
        keys: dict[Key, None] = {}
        for slice_ in changed:
            if slice_ is not None and meta.labels(slice_).get(MANAGED_BY) == manager:
                key = Key(meta.namespace(slice_), meta.labels(slice_).get(SERVICE_NAME, ""))
                keys[key] = None
                if new is None:
                    self.saw_deletion(key, meta.uid(slice_))
        return list(keys)

    def saw_deletion(self, key: Key, uid: str) -> None:
        """A slice left the cache: somebody else may have deleted it."""
        self._written.get(key, {}).pop(uid, None)

    def forget(self, key: Key) -> None:
        """The owner is gone."""
        self._written.pop(key, None)
        self._deleted.pop(key, None)
