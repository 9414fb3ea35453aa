"""Reads that share calls: none is older than it may be, and an error of one is not another's."""

import asyncio
from typing import Any

import pytest

from controlplane.storage.shared_reads import SharedReads
from kvstore.client.errors import ClientError, NoLeader
from kvstore.client.types import Header, KeyValue, RangeResult, TxnResult

_HEADER = Header(1, 1, 1, 1)


class Store:
    """A client of a store whose calls end when `gate` is open."""

    def __init__(self) -> None:
        self.value = 0
        self.calls: list[int] = []
        self.gate = asyncio.Event()
        self.errors: dict[bytes, ClientError] = {}
        self.txn_error: ClientError | None = None

    def _result(self, key: bytes) -> RangeResult:
        kv = KeyValue(key, str(self.value).encode(), 1, 1, 1, 0)
        return RangeResult(_HEADER, (kv,))

    async def get(self, key: bytes) -> RangeResult:
        self.calls.append(1)
        result = self._result(key)
        await self.gate.wait()
        if key in self.errors:
            raise self.errors[key]
        return result

    async def txn(self, compares: Any, success: Any) -> TxnResult:
        self.calls.append(len(success))
        results = tuple(self._result(op.key) for op in success)
        await self.gate.wait()
        if self.txn_error is not None:
            raise self.txn_error
        return TxnResult(_HEADER, True, results)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_reads_that_wait_go_out_together_and_see_what_was_written_before_they_were_asked_for():
    store = Store()
    reads = SharedReads(store)  # type: ignore[arg-type]
    first = []
    for number in range(4):
        first.append(asyncio.create_task(reads.get(b"a%d" % number)))
        await _settle()
    store.value = 7
    later = [asyncio.create_task(reads.get(b"b%d" % number)) for number in range(20)]
    await _settle()
    assert store.calls == [1, 1, 1, 1]
    store.gate.set()
    assert [(await one).kvs[0].value for one in first] == [b"0"] * 4
    found = [(await one).kvs[0] for one in later]
    assert [kv.value for kv in found] == [b"7"] * 20
    assert [kv.key for kv in found] == [b"b%d" % number for number in range(20)]
    assert sum(store.calls) == 24
    assert len(store.calls) <= 8
    await reads.close()


async def test_an_error_of_a_shared_call_lets_each_read_for_itself():
    store = Store()
    reads = SharedReads(store)  # type: ignore[arg-type]
    store.txn_error = NoLeader("too large")
    store.errors[b"k3"] = NoLeader("away")
    store.gate.set()
    asked = [reads.get(b"k%d" % number) for number in range(12)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [number for number, one in enumerate(found) if isinstance(one, ClientError)] == [3]
    await reads.close()


async def test_a_caller_that_goes_away_does_not_disturb_the_others():
    store = Store()
    reads = SharedReads(store)  # type: ignore[arg-type]
    asked = [asyncio.create_task(reads.get(b"k%d" % number)) for number in range(12)]
    await _settle()
    asked[5].cancel()
    asked[0].cancel()
    store.gate.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, RangeResult) for one in found].count(True) == 10
    with pytest.raises(asyncio.CancelledError):
        await asked[5]
    await reads.close()
