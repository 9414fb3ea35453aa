"""One version of a key, and one change of it: the two values that everything else passes around.

Structs without garbage collector tracking: they hold only bytes, numbers and each other, never a cycle, and there are
hundreds of thousands of them.
"""

import msgspec


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One version of a key, etcd's mvccpb.KeyValue. A tombstone has only `key` and `mod_revision`."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change. `is_delete` False = PUT. `prev` is the version before, if it is not compacted."""

    kv: KeyValue
    is_delete: bool = False
    prev: KeyValue | None = None


def without_value(kv: KeyValue) -> KeyValue:
    """`kv` as a read of keys only shows it."""
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
