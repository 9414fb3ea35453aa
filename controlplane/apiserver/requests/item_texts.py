"""The JSON of objects as items of lists: written once for all lists that show the same state of an object."""

import msgspec

from controlplane.api.meta import Obj


def without_type(obj: Obj) -> Obj:
    """Compat: items of a typed list do not repeat their type."""
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


class ItemTexts:
    """Texts of shared objects, those written last, up to a number of bytes.

    They go by identity: objects of the watch cache are replaced, never changed.
    """

    def __init__(self, max_bytes: int = 32 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # Holding the object keeps its id from becoming another's.
        self._texts: dict[int, tuple[Obj, msgspec.Raw, int]] = {}

    def of(self, obj: Obj, has_type: bool) -> msgspec.Raw:
        """`obj` in JSON, with its type or without, which is the same for all lists of it."""
        found = self._texts.get(id(obj))
        if found is not None:
            return found[1]
        text = msgspec.json.encode(obj if has_type else without_type(obj))
        raw = msgspec.Raw(text)
        self._texts[id(obj)] = (obj, raw, len(text))
        self._bytes += len(text)
        while self._bytes > self._max_bytes:
            self._bytes -= self._texts.pop(next(iter(self._texts)))[2]
        return raw
