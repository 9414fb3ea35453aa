"""Reads of single keys that share calls: what is asked for while a few calls are under way goes out in one.

A call to the store costs far more than a key in it. A read waits only for calls that were sent before it was asked
for, so each is as fresh as one of its own.
"""

import asyncio
from collections import deque

from kvstore.base.tasks import Supervisor
from kvstore.client.client import Client
from kvstore.client.types import OpGet, RangeResult

# With so many calls under way, more wait for one to end.
_CALLS = 4
# Values are up to 1.5 MiB, and an answer of all of them would be too large for a message; see `_read`.
_KEYS_A_CALL = 16

_Waiting = tuple[bytes, "asyncio.Future[RangeResult]"]


class SharedReads:
    """Linearizable reads of one key each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: deque[_Waiting] = deque()
        self._calls = 0
        self._supervisor = Supervisor("reads")

    async def get(self, key: bytes) -> RangeResult:
        """The key now. ClientError."""
        answer: asyncio.Future[RangeResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._calls < _CALLS:
            self._calls += 1
            self._supervisor.start(self._send(), "call")
        return await answer

    async def close(self) -> None:
        """End what is under way."""
        await self._supervisor.stop(1.0)

    async def _send(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), _KEYS_A_CALL)
                await self._read([self._waiting.popleft() for _ in range(count)])
        finally:
            self._calls -= 1

    async def _read(self, batch: list[_Waiting]) -> None:
        batch = [(key, answer) for key, answer in batch if not answer.done()]
        if len(batch) == 1:
            await self._read_one(*batch[0])
            return
        if not batch:
            return
        try:
            result = await self._client.txn([], [OpGet(key) for key, _ in batch])
            found = [result.range(number) for number in range(len(batch))]
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception:
            # Too much for one message, or a store that is away: each learns its own.
            await asyncio.gather(*(self._read_one(key, answer) for key, answer in batch))
            return
        for (_, answer), one in zip(batch, found, strict=True):
            if not answer.done():
                answer.set_result(one)

    async def _read_one(self, key: bytes, answer: "asyncio.Future[RangeResult]") -> None:
        try:
            result = await self._client.get(key)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except Exception as error:
            # Whatever it is, it is for the one who waits.
            if not answer.done():
                answer.set_exception(error)
            return
        if not answer.done():
            answer.set_result(result)
