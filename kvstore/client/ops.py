"""Parts of requests by short names: conditions, operations, the end of a prefix."""

from kvstore.client.types import Compare, Key, OpDelete, OpGet, OpPut, OpTxn, encoded

op_get = OpGet
op_put = OpPut
op_delete = OpDelete
op_txn = OpTxn


def compare_mod(key: bytes, operator: str, revision: int) -> Compare:
    """Condition on the revision of the key's latest change; 0: the key does not exist."""
    return Compare(key, "mod", operator, revision)


def compare_create(key: bytes, operator: str, revision: int) -> Compare:
    """Condition on the revision of the key's creation; 0: the key does not exist."""
    return Compare(key, "create", operator, revision)


def compare_version(key: bytes, operator: str, version: int) -> Compare:
    """Condition on the number of changes since the key's creation."""
    return Compare(key, "version", operator, version)


def compare_value(key: bytes, operator: str, value: bytes) -> Compare:
    """Condition on the key's value; false for a key that does not exist."""
    return Compare(key, "value", operator, value)


def compare_lease(key: bytes, operator: str, lease: int) -> Compare:
    """Condition on the lease the key hangs on."""
    return Compare(key, "lease", operator, lease)


def key_range(key: Key, range_end: Key = b"", prefix: bool = False) -> tuple[bytes, bytes]:
    """(first key, end) as the wire has them; with `prefix` of all keys that begin with `key`, of all if it is empty.

    Raises ValueError for a prefix with a `range_end`.
    """
    start, end = encoded(key), encoded(range_end)
    if not prefix:
        return start, end
    if end:
        raise ValueError("a prefix has no range_end")
    return start or b"\0", prefix_end(start)


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` of all keys that begin with `prefix`; for an empty prefix, of all keys."""
    for index in range(len(prefix) - 1, -1, -1):
        if prefix[index] < 0xFF:
            return prefix[:index] + bytes([prefix[index] + 1])
    return b"\0"
