"""Parts of requests by short names: conditions, operations, the end of a prefix."""

from kvstore.client.types import Compare, OpDelete, OpGet, OpPut, OpTxn

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


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` of all keys that begin with `prefix`; for an empty prefix, of all keys."""
    for index in range(len(prefix) - 1, -1, -1):
        if prefix[index] < 0xFF:
            return prefix[:index] + bytes([prefix[index] + 1])
    return b"\0"
