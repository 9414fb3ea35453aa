"""Which error a status means, and when a request may be sent again."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import pytest

from kvstore.base.clock import ManualClock
from kvstore.client import errors
from kvstore.client.client import prefix_end
from kvstore.client.endpoints import Connection, parse_endpoint
from kvstore.client.failover import Failover

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "message", "kind", "retryable", "outcome_known"),
    [
        (Code.UNAVAILABLE, "etcdserver: no leader", errors.NoLeader, True, True),
        (Code.UNAVAILABLE, "etcdserver: leader changed", errors.LeaderChanged, True, False),
        (
            Code.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to connection lost",
            errors.ServerTimedOut,
            True,
            False,
        ),
        (Code.UNAVAILABLE, "Socket closed", errors.Unavailable, True, False),
        (
            Code.UNAVAILABLE,
            "failed to connect to all addresses; last error: x",
            errors.NotConnected,
            True,
            True,
        ),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.DeadlineExceeded, True, False),
        (
            Code.RESOURCE_EXHAUSTED,
            "etcdserver: too many requests",
            errors.TooManyRequests,
            True,
            True,
        ),
        (
            Code.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            errors.NoSpace,
            False,
            True,
        ),
        (
            Code.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision has been compacted",
            errors.Compacted,
            False,
            True,
        ),
        (
            Code.NOT_FOUND,
            "etcdserver: requested lease not found",
            errors.LeaseNotFound,
            False,
            True,
        ),
        (Code.INTERNAL, "boom", errors.Unavailable, True, False),
        (Code.UNKNOWN, "boom", errors.UnknownError, False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_status_becomes_its_error(
    code: grpc.StatusCode,
    message: str,
    kind: type[errors.ClientError],
    retryable: bool,
    outcome_known: bool,
) -> None:
    error = errors.from_status(code, message)
    assert (type(error), error.retryable, error.outcome_known) == (kind, retryable, outcome_known)


def failing(code: grpc.StatusCode, message: str) -> grpc.aio.AioRpcError:
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, message, None)


class Script:
    """Answers per endpoint: an exception to raise, or a text to return; notes who was asked."""

    def __init__(self, answers: dict[str, grpc.aio.AioRpcError | str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float]] = []

    async def __call__(self, connection: Connection, seconds: float) -> str:
        self.asked.append((connection.name, seconds))
        answer = self.answers[connection.name]
        if isinstance(answer, str):
            return answer
        raise answer


def failover(clock: ManualClock) -> Failover:
    names = ("a:1", "b:1", "c:1")
    return Failover([Connection(parse_endpoint(n), None) for n in names], clock, random.Random(1))


async def outcome(run: Callable[[], Awaitable[str]], clock: ManualClock) -> str:
    """The result, or the name of the error; time moves as long as the request waits."""

    async def guarded() -> str:
        try:
            return await run()
        except errors.ClientError as error:
            return type(error).__name__

    async with asyncio.TaskGroup() as group:
        task = group.create_task(guarded())
        for _ in range(500):
            if task.done():
                break
            await clock.advance(0.1)
    return task.result()


LOST = failing(Code.UNAVAILABLE, "Socket closed")
REFUSED = failing(Code.UNAVAILABLE, "failed to connect to all addresses")
NO_LEADER = failing(Code.UNAVAILABLE, "etcdserver: no leader")


@pytest.mark.parametrize(
    ("first", "is_idempotent", "expected"),
    [
        (LOST, True, "fine"),
        (LOST, False, "Unavailable"),
        (REFUSED, False, "fine"),
        (NO_LEADER, False, "fine"),
    ],
    ids=[
        "lost_read_moves_on",
        "lost_write_may_have_happened",
        "refused_write_moves_on",
        "no_leader_moves_on",
    ],
)
async def test_only_what_surely_did_not_happen_is_repeated(
    first: grpc.aio.AioRpcError, is_idempotent: bool, expected: str
) -> None:
    clock = ManualClock()
    subject, script = failover(clock), Script({"a:1": first, "b:1": "fine"})
    result = await outcome(
        lambda: subject.run(script, timeout_seconds=5, is_idempotent=is_idempotent), clock
    )
    assert result == expected
    assert subject.current().name == "b:1", "the next request starts at a member that may work"


async def test_a_read_leaves_time_for_the_others() -> None:
    clock = ManualClock()
    subject, script = failover(clock), Script({"a:1": LOST, "b:1": LOST, "c:1": "fine"})
    assert (
        await outcome(lambda: subject.run(script, timeout_seconds=4, is_idempotent=True), clock)
        == "fine"
    )
    assert script.asked == [("a:1", 2.0), ("b:1", 2.0), ("c:1", 4.0)]


async def test_nobody_there_ends_with_the_deadline() -> None:
    clock = ManualClock()
    subject, script = failover(clock), Script(dict.fromkeys(("a:1", "b:1", "c:1"), REFUSED))
    started = clock.monotonic()
    result = await outcome(
        lambda: subject.run(script, timeout_seconds=2, is_idempotent=False), clock
    )
    assert result == "NotConnected"
    assert clock.monotonic() - started <= 2.2


@pytest.mark.parametrize(
    ("text", "target", "is_tls"),
    [
        ("http://h:1", "h:1", False),
        ("https://h:1/", "h:1", True),
        ("h:1", "h:1", False),
        ("unix:///tmp/s", "unix:/tmp/s", False),
    ],
)
def test_endpoints_are_parsed(text: str, target: str, is_tls: bool) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.target, endpoint.is_tls) == (target, is_tls)


@pytest.mark.parametrize("text", ["", "http://", "ftp://h:1", "http://h", "h"])
def test_bad_endpoints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid endpoint"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0"), (b"a/", b"a0")],
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_grpcs_own_failure_of_a_stream_is_a_loss_that_watches_survive() -> None:
    """Found by chaos: watches ended with an UnknownError when their member died within a write."""
    error = errors.from_status(grpc.StatusCode.INTERNAL, "Internal error from Core")
    assert isinstance(error, errors.Unavailable)
    assert error.retryable
    assert not error.outcome_known
