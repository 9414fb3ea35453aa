"""Which member to ask, and whether to ask another: the retry rules of the client.

Sticky: a request goes to the member that answered last; or, if asked to spread requests, to each in turn, where one
that failed is left out for a while. On a failure the next one is tried, at once, until each had its turn; then
after a growing pause, until the deadline. What may be tried again depends on the request:

- a read, or any request that does the same twice (`is_idempotent`): after every error marked retryable. One attempt
  takes at most half the time left while other members are untried, so a frozen member cannot eat the whole deadline;
- a write: only after errors that say it was not executed (`outcome_known`), because the first try may still happen
  and the second would then come on top of it, in the worst case undoing a third party's write.

- a request refused for its token: once more with a new one, see `tokens.py`.

Source: the rules are those of etcd's clientv3 (retry.go: repeatable and nonRepeatable), with "too many requests"
added.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
import grpc.aio

from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.client.endpoints import Connection
from kvstore.client.errors import (
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    InvalidToken,
    from_rpc_error,
)
from kvstore.client.tokens import RENEWALS_PER_REQUEST, Tokens

T = TypeVar("T")

# The least time an attempt gets; below this a slow but sane member looks frozen.
_LEAST_ATTEMPT_SECONDS = 0.5
# How long a failed member gets no turn while requests are spread.
_REST_SECONDS = 2.0


def may_try_again(error: ClientError, *, is_idempotent: bool) -> bool:
    """True if the same request may be sent again after `error`."""
    return error.retryable and (is_idempotent or error.outcome_known)


class Failover:
    """Sends requests to one of several members."""

    def __init__(
        self,
        connections: Sequence[Connection],
        clock: Clock,
        rng: random.Random,
        tokens: Tokens | None = None,
        *,
        spread: bool = False,
        is_single_try: bool = False,
    ) -> None:
        if not connections:
            raise ValueError("at least one endpoint is needed")
        self.connections = tuple(connections)
        self._clock = clock
        self._rng = rng
        self.tokens = tokens or Tokens()
        self._spread = spread
        self._is_single_try = is_single_try
        self._rests_until: dict[Connection, float] = {}
        self._current = 0
        self._is_closed = False

    def current(self) -> Connection:
        """The member to ask now; ClientClosed after `close`."""
        if self._is_closed:
            raise ClientClosed("the client is closed")
        return self.connections[self._current]

    def turn_away(self, connection: Connection) -> None:
        """Do not ask `connection` next; no effect if somebody else turned away from it before."""
        self._rests_until[connection] = self._clock.monotonic() + _REST_SECONDS
        if self.connections[self._current] is connection:
            self._current = (self._current + 1) % len(self.connections)

    def _take_turns(self) -> None:
        """The next member that does not rest; the next one if all do."""
        now = self._clock.monotonic()
        count = len(self.connections)
        following = [(self._current + step) % count for step in range(1, count + 1)]
        awake = [i for i in following if self._rests_until.get(self.connections[i], 0.0) <= now]
        self._current = (awake or following)[0]

    def backoff(self) -> Backoff:
        """The pauses between rounds over all members."""
        return Backoff(0.05, 1.0, rng=self._rng)

    async def run(
        self,
        send: Callable[[Connection, float], Awaitable[T]],
        *,
        timeout_seconds: float,
        is_idempotent: bool,
    ) -> T:
        """The result of `send(connection, attempt_seconds)`, tried as the rules allow; raises ClientError."""
        deadline = self._clock.monotonic() + timeout_seconds
        backoff = self.backoff()
        tried = renewed = 0
        if self._spread:
            self._take_turns()
        while True:
            connection = self.current()
            token = self.tokens.token
            left = deadline - self._clock.monotonic()
            attempt = left
            if is_idempotent and tried < len(self.connections) - 1:
                attempt = min(left, max(_LEAST_ATTEMPT_SECONDS, left / 2))
            is_sent = False
            try:
                await self.tokens.ensure(connection, attempt)
                token, is_sent = self.tokens.token, True
                return await send(connection, attempt)
            except grpc.aio.AioRpcError as cause:
                error = from_rpc_error(cause, endpoint=connection.name)
                error.__cause__ = cause
                error.outcome_known = error.outcome_known or not is_sent
            except grpc.aio.UsageError as cause:
                # The library's way to say that the channel was closed under the call.
                raise ClientClosed("the client is closed") from cause
            if isinstance(error, InvalidToken) and self.tokens.has_user:
                renewed += 1
                if renewed <= RENEWALS_PER_REQUEST and self._clock.monotonic() < deadline:
                    self.tokens.refuse(token)
                    continue
            if error.retryable:
                self.turn_away(connection)
            if self._is_single_try or not may_try_again(error, is_idempotent=is_idempotent):
                raise error
            tried += 1
            pause = backoff.next() if tried % len(self.connections) == 0 else 0.0
            if self._clock.monotonic() + pause >= deadline:
                raise _at_deadline(error, timeout_seconds)
            if pause:
                await self._clock.sleep(pause)

    async def close(self) -> None:
        """Close all channels."""
        self._is_closed = True
        for connection in self.connections:
            await connection.close()


def _at_deadline(last: ClientError, timeout_seconds: float) -> ClientError:
    """The last refusal tells more than "deadline", unless it is one itself."""
    if isinstance(last, DeadlineExceeded):
        return DeadlineExceeded(f"no answer within {timeout_seconds:g} s", endpoint=last.endpoint)
    return last
