"""The local cache of one resource, with indexes.

Objects are shared by all who read them: never change one, copy it first. Keys are `namespace/name`, or `name` alone for
cluster-wide objects. An index maps an object to values; all indexes follow each `put` and `delete` at once.
"""

from collections.abc import Callable, Iterable, Mapping

from controlplane.api.meta import Obj

Objects = list[Obj]
Keys = list[str]
IndexFunction = Callable[[Obj], Iterable[str]]


def object_key(obj: Obj) -> str:
    """`namespace/name` or `name`."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _by_namespace(obj: Obj) -> Iterable[str]:
    return (obj["metadata"].get("namespace") or "",)


def _by_uid(obj: Obj) -> Iterable[str]:
    uid = obj["metadata"].get("uid")
    return (uid,) if uid else ()


def _by_owner(obj: Obj) -> Iterable[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()]


def _by_node(obj: Obj) -> Iterable[str]:
    node = (obj.get("spec") or {}).get("nodeName")
    return (node,) if node else ()


DEFAULT_INDEXES: Mapping[str, IndexFunction] = {
    "namespace": _by_namespace,
    "uid": _by_uid,
    "owner": _by_owner,
    "node": _by_node,
}


class Indexer:
    """Objects by key and by index."""

    def __init__(self, indexes: Mapping[str, IndexFunction] = DEFAULT_INDEXES) -> None:
        self._functions = dict(indexes)
        self._objects: dict[str, Obj] = {}
        # index name -> value -> keys, a dict as an ordered set
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, name: str, namespace: str = "") -> Obj | None:
        """The object, or None."""
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def list(self, namespace: str = "") -> Objects:
        """All objects, or those of one namespace."""
        return self.by_index("namespace", namespace) if namespace else [*self._objects.values()]

    def by_index(self, index: str, value: str) -> Objects:
        """The objects an index files under `value`."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def by_owner(self, uid: str) -> Objects:
        """Objects with an owner reference to `uid`."""
        return self.by_index("owner", uid)

    def by_node(self, node: str) -> Objects:
        """Pods bound to a node."""
        return self.by_index("node", node)

    def by_uid(self, uid: str) -> Obj | None:
        """The one object with this uid, or None."""
        return next(iter(self.by_index("uid", uid)), None)

    def put(self, obj: Obj) -> Obj | None:
        """Add or replace; returns what was there before."""
        key = object_key(obj)
        old = self._objects.get(key)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        for name, function in self._functions.items():
            for value in function(obj):
                self._indexes[name].setdefault(value, {})[key] = None
        return old

    def delete(self, key: str) -> Obj | None:
        """Remove; returns what was there."""
        old = self._objects.pop(key, None)
        if old is not None:
            self._unindex(key, old)
        return old

    def keys(self) -> Keys:
        """All keys, in the order they came."""
        return list(self._objects)

    def _unindex(self, key: str, obj: Obj) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(obj):
                bucket = index.get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del index[value]

    def check_invariants(self) -> None:
        """Every index holds exactly what its function says."""
        for name, function in self._functions.items():
            expected: dict[str, set[str]] = {}
            for key, obj in self._objects.items():
                for value in function(obj):
                    expected.setdefault(value, set()).add(key)
            actual = {value: set(keys) for value, keys in self._indexes[name].items()}
            assert actual == expected, f"index {name}: {actual} is not {expected}"
