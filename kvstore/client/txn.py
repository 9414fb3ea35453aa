"""Transactions in readable Python: conditions by comparison signs, branches by name.

    result = await (
        client.txn()
        .when(version("a") == 0, value("b") != b"x")
        .then(put("a", "1"), get("b"))
        .otherwise(get("a"))
        .commit()
    )

A condition's subject may be one key, a range (`value("a", range_end="b")`) or a prefix (`value("a/",
prefix=True)`); on several keys it must hold for each. `txn(...)` builds a transaction to put into a branch of
another. Nothing is sent before `commit`; a builder may be committed again.
"""

from typing import TYPE_CHECKING

from kvstore.client.ops import key_range
from kvstore.client.types import (
    Compare,
    Key,
    Op,
    OpDelete,
    OpGet,
    OpPut,
    OpTxn,
    SortOrder,
    SortTarget,
    TxnResult,
    encoded,
)

if TYPE_CHECKING:
    from kvstore.client.client import Client


class Subject:
    """What a condition is about; comparing it makes the condition."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, target: str, key: Key, range_end: Key) -> None:
        self._target = target
        self._key = encoded(key)
        self._range_end = encoded(range_end)

    def _compare(self, operator: str, operand: object) -> Compare:
        if self._target == "value":
            if not isinstance(operand, bytes | str):
                raise TypeError(f"a value is compared with bytes or text, not {operand!r}")
            return Compare(self._key, self._target, operator, encoded(operand), self._range_end)
        if not isinstance(operand, int) or isinstance(operand, bool):
            raise TypeError(f"{self._target} is compared with a number, not {operand!r}")
        return Compare(self._key, self._target, operator, operand, self._range_end)

    def __eq__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare("=", operand)

    def __ne__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare("!=", operand)

    def __lt__(self, operand: int | Key) -> Compare:
        return self._compare("<", operand)

    def __gt__(self, operand: int | Key) -> Compare:
        return self._compare(">", operand)

    def __bool__(self) -> bool:
        raise TypeError("compare it with something to make a condition: version(key) == 0")


def _subject(target: str, key: Key, range_end: Key, prefix: bool) -> Subject:
    return Subject(target, *key_range(key, range_end, prefix))


def version(key: Key, *, range_end: Key = b"", prefix: bool = False) -> Subject:
    """How often the key was put since its creation; 0: it does not exist."""
    return _subject("version", key, range_end, prefix)


def create_revision(key: Key, *, range_end: Key = b"", prefix: bool = False) -> Subject:
    """The revision that created the key; 0: it does not exist."""
    return _subject("create", key, range_end, prefix)


def mod_revision(key: Key, *, range_end: Key = b"", prefix: bool = False) -> Subject:
    """The revision that last changed the key; 0: it does not exist."""
    return _subject("mod", key, range_end, prefix)


def value(key: Key, *, range_end: Key = b"", prefix: bool = False) -> Subject:
    """What the key holds; no condition on the value of a missing key holds."""
    return _subject("value", key, range_end, prefix)


def lease(key: Key, *, range_end: Key = b"", prefix: bool = False) -> Subject:
    """The lease the key hangs on; 0: none."""
    return _subject("lease", key, range_end, prefix)


def get(
    key: Key,
    *,
    range_end: Key = b"",
    prefix: bool = False,
    limit: int = 0,
    revision: int = 0,
    keys_only: bool = False,
    count_only: bool = False,
    sort_order: SortOrder = SortOrder.NONE,
    sort_target: SortTarget = SortTarget.KEY,
) -> OpGet:
    """Read a key, a range, or all keys that begin with `key`."""
    start, end = key_range(key, range_end, prefix)
    return OpGet(
        start,
        end,
        limit,
        revision,
        keys_only,
        count_only,
        sort_order=sort_order,
        sort_target=sort_target,
    )


def put(
    key: Key,
    value: Key = b"",
    *,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> OpPut:
    """Set a key."""
    return OpPut(encoded(key), encoded(value), lease, prev_kv, ignore_value, ignore_lease)


def delete(
    key: Key, *, range_end: Key = b"", prefix: bool = False, prev_kv: bool = False
) -> OpDelete:
    """Delete a key, a range, or all keys that begin with `key`."""
    return OpDelete(*key_range(key, range_end, prefix), prev_kv)


class Txn:
    """A transaction under construction; each method returns a new one, so parts can be shared."""

    def __init__(self, client: "Client | None" = None, op: OpTxn | None = None) -> None:
        self._client = client
        self._op = op or OpTxn()

    def when(self, *conditions: Compare) -> "Txn":
        """Conditions that must all hold, besides those given before."""
        for one in conditions:
            if not isinstance(one, Compare):
                raise TypeError(f"{one!r} is no condition: write version(key) == 0 or the like")
        return Txn(
            self._client,
            OpTxn((*self._op.compares, *conditions), self._op.success, self._op.failure),
        )

    def then(self, *ops: "Op | Txn") -> "Txn":
        """What to do if they hold, after what was given before."""
        return Txn(
            self._client,
            OpTxn(self._op.compares, (*self._op.success, *map(_op, ops)), self._op.failure),
        )

    def otherwise(self, *ops: "Op | Txn") -> "Txn":
        """What to do if they do not."""
        return Txn(
            self._client,
            OpTxn(self._op.compares, self._op.success, (*self._op.failure, *map(_op, ops))),
        )

    @property
    def op(self) -> OpTxn:
        """The transaction as an operation, e.g. for a branch of another one."""
        return self._op

    async def commit(self, *, timeout_seconds: float | None = None) -> TxnResult:
        """Send it. DuplicateKey, TooManyOperations, and what each operation may raise."""
        if self._client is None:
            raise TypeError("this transaction is a part of another: make one with client.txn()")
        return await self._client.commit(self._op, timeout_seconds=timeout_seconds)


def txn() -> Txn:
    """A transaction for a branch of another one."""
    return Txn()


def _op(one: "Op | Txn") -> Op:
    return one.op if isinstance(one, Txn) else one
