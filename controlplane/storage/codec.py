"""Object <-> bytes: compact JSON without `metadata.resourceVersion`, which is the store's to say."""

from typing import cast

import msgspec

from controlplane.api.meta import Obj

ENCRYPTED = b"k8s:enc:"
"""How values begin that are no objects yet: they are encrypted (`encryption`)."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(obj: Obj) -> bytes:
    """The stored form of `obj`, which is left as it is."""
    return _encoder.encode(_without_version(obj))


def _without_version(obj: Obj) -> Obj:
    meta = obj.get("metadata")
    if isinstance(meta, dict) and ("resourceVersion" in meta or "selfLink" in meta):
        stripped = {
            key: value for key, value in meta.items() if key not in ("resourceVersion", "selfLink")
        }
        return {**obj, "metadata": stripped}
    return obj


def decode(data: bytes, revision: int) -> Obj:
    """The object in `data`, stamped with `revision`."""
    obj = cast("Obj", _decoder.decode(data))
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        meta = obj["metadata"] = {}
    meta["resourceVersion"] = str(revision)
    return obj


def with_revision(obj: Obj, revision: int) -> Obj:
    """A shallow copy of `obj` whose resourceVersion is `revision`."""
    return {**obj, "metadata": {**(obj.get("metadata") or {}), "resourceVersion": str(revision)}}


def is_same(one: Obj, other: Obj) -> bool:
    """Whether the two would be stored alike."""
    return one is other or _without_version(one) == _without_version(other)
