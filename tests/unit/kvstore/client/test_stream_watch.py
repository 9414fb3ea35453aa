"""A watch of a shared stream, without a server: what happens between two waits of its reader."""

import asyncio
from typing import Any, cast

from kvstore.client.types import Event, Header, KeyValue, WatchBatch
from kvstore.client.watch_cursor import WatchCursor, watch_request
from kvstore.client.watch_stream import StreamWatch, WatchStream
from kvstore.pb import rpc_pb2

BATCH = WatchBatch(Header(), (Event("PUT", KeyValue(b"k", b"v", mod_revision=7)),))


class AnswersAtOnce:
    """A stream on which everything comes while the reader still waits for `attach` to end."""

    def __init__(self) -> None:
        self.asked = 0

    async def attach(self, watch: StreamWatch) -> None:
        self.asked += 1
        watch.watch_id = 1
        watch.batches.append(BATCH)
        watch.changed.set()


async def test_what_comes_while_a_watch_is_put_on_its_stream_again_is_read() -> None:
    stream = AnswersAtOnce()
    watch = StreamWatch(cast("WatchStream", stream), WatchCursor(watch_request("k")))
    async with asyncio.timeout(5):
        assert await anext(watch) is BATCH
    assert stream.asked == 1


class Call:
    """One gRPC stream: what was written to it, and what is to be read."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    async def write(self, request: Any) -> None:
        self.written.append(request)


def opened(*watches: StreamWatch) -> tuple[WatchStream, Call]:
    """A stream with `watches`, none of them asked for."""
    stream, call = WatchStream(cast("Any", None), cast("Any", None)), Call()
    stream._call = call
    for watch in watches:
        stream._register(watch)
    return stream, call


def answer(watch_id: int, **fields: Any) -> Any:

    response = rpc_pb2.WatchResponse(watch_id=watch_id, **fields)
    response.header.revision = 10
    return response


def make(**options: Any) -> StreamWatch:
    return StreamWatch(cast("Any", None), WatchCursor(watch_request("k", **options)))


async def test_a_watch_is_asked_for_once_a_stream() -> None:
    watch = make()
    stream, call = opened(watch)
    await asyncio.gather(stream._ask(watch), stream._ask(watch))
    assert len(call.written) == 1
    stream._call = other = Call()
    await stream._ask(watch)
    assert len(other.written) == 1, "and again on the next one"


async def test_progress_of_the_stream_does_not_move_a_watch_that_is_not_on_it_yet() -> None:
    first, second = make(), make(start_revision=3)
    stream, _ = opened(first, second)
    await stream._ask(first)
    await stream._dispatch(answer(first.watch_id, created=True), "member")
    await stream._ask(second)
    await stream._dispatch(answer(-1), "member")
    assert (first.next_revision, second.next_revision) == (11, 3)
    await stream._dispatch(answer(second.watch_id, created=True), "member")
    await stream._dispatch(answer(-1), "member")
    assert second.next_revision == 11


async def test_a_refusal_without_an_id_ends_the_watch_that_was_asked_for_first() -> None:
    first, second = make(), make()
    stream, _ = opened(first, second)
    await stream._ask(first)
    await stream._ask(second)
    refusal = answer(-1, created=True, canceled=True, cancel_reason="no such thing")
    await stream._dispatch(refusal, "member")
    await stream._dispatch(answer(second.watch_id, created=True), "member")
    assert first.error is not None
    assert "no such thing" in str(first.error)
    assert second.is_open
    assert second.error is None
