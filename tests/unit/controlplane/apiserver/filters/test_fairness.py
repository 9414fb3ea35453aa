"""The filter in front of handlers that can be held: who is served, who waits, who is sent away, and what is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.apiserver.bootstrap import defaults, flow_control
from controlplane.apiserver.filters.fairness import LEVEL_HEADER, SCHEMA_HEADER, Fairness
from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.http import info
from controlplane.apiserver.http.messages import Answer, Request, Response, StreamResponse, User
from controlplane.apiserver.metrics import Metrics
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

ALICE, BOB = User("alice", ("system:authenticated",)), User("bob", ("system:authenticated",))
MASTER = User("admin", ("system:masters", "system:authenticated"))
PODS = "/api/v1/namespaces/d/pods"
DEADLINE = 60.0


class Desk:
    """The filter over one small level, and a handler that holds what it is given."""

    def __init__(self, seats: int = 2, *, length: int = 3, request_seconds: float = 600.0) -> None:
        clock = SystemClock()
        self.control = FlowControl(
            seats,
            flow_control.mandatory(),
            clock.monotonic,
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
        )
        level = {
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "global-default", "uid": "level uid"},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 100,
                    "borrowingLimitPercent": 0,
                    "limitResponse": {
                        "type": "Queue",
                        "queuing": {"queues": 64, "handSize": 1, "queueLengthLimit": length},
                    },
                },
            },
        }
        zero = {**flow_control.mandatory()[1]}
        catch_all = {**zero, "spec": {"type": "Limited", "limited": {**zero["spec"]["limited"]}}}
        catch_all["spec"]["limited"]["nominalConcurrencyShares"] = 0
        schemas = [one for one in defaults.objects() if one["kind"] == "FlowSchema"]
        named = [{**one, "metadata": {**one["metadata"], "uid": "schema uid"}} for one in schemas]
        self.control.digest([level, catch_all], named)
        assert self.control.levels["global-default"].current == seats
        self.metrics = Metrics()
        self.filter = Fairness(self.control, self.metrics, clock, lambda *of: 0, request_seconds)
        self.served: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    @property
    def queues(self) -> Any:
        return self.control.levels["global-default"].queues

    async def handler(self, request: Request) -> Answer:
        name = request.headers["name"]
        self.served.append(name)
        await self.gates.setdefault(name, asyncio.Event()).wait()
        return Response(200, b"")

    def request(self, name: str, user: User = ALICE, method: str = "GET", **query: str) -> Request:
        values = {key: [value] for key, value in query.items()}
        parsed = info.parse(method, PODS, is_watch=query.get("watch") == "true")
        incoming = InProcessRequest(method, PODS, query=values, user=user)
        return Request(method, PODS, parsed, values, {"name": name}, incoming, user=user)

    async def ask(self, name: str, user: User = ALICE, **query: str) -> asyncio.Task[Answer]:
        """Ask, and return when the request is served, waits or was answered."""
        task = asyncio.ensure_future(self.filter(self.request(name, user, **query), self.handler))
        before = self.queues.requests_waiting
        async with asyncio.timeout(DEADLINE):
            while not (name in self.served or task.done() or self.queues.requests_waiting > before):
                await asyncio.sleep(0)
        return task

    def let(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()

    def let_all(self) -> None:
        for name in self.served:
            self.let(name)


async def test_a_waiting_request_is_served_when_a_seat_is_free() -> None:
    desk = Desk()
    tasks = [await desk.ask(name) for name in ("one", "two", "three")]
    assert desk.served == ["one", "two"]
    desk.let("two")
    await tasks[1]
    async with asyncio.timeout(DEADLINE):
        while "three" not in desk.served:
            await asyncio.sleep(0)
    desk.let_all()
    assert [(await task).status for task in tasks] == [200] * 3
    assert desk.queues.is_idle


async def test_the_one_who_floods_waits_and_the_other_is_served_next() -> None:
    desk = Desk()
    flood = [await desk.ask(f"flood {number}") for number in range(5)]
    other = await desk.ask("other", BOB)
    assert desk.served == ["flood 0", "flood 1"]
    desk.let("flood 0")
    await flood[0]
    async with asyncio.timeout(DEADLINE):
        while len(desk.served) < 3:
            await asyncio.sleep(0)
    assert desk.served[2] == "other"
    for task in [*flood, other]:
        task.cancel()
    await asyncio.gather(*flood, other, return_exceptions=True)
    assert desk.queues.is_idle
    desk.queues.check_invariants()


async def test_a_full_queue_is_answered_429_and_says_of_which_level() -> None:
    desk = Desk()
    held = [await desk.ask(f"held {number}") for number in range(5)]
    one = desk.request("too many")
    answer = await desk.filter(one, desk.handler)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert answer.body == b"Too many requests, please try again later.\n"
    assert one.answer_headers == {SCHEMA_HEADER: "schema uid", LEVEL_HEADER: "level uid"}
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_who_waits_a_quarter_of_its_time_is_sent_away() -> None:
    desk = Desk()
    held = [await desk.ask(name) for name in ("one", "two")]
    late = await desk.ask("late", timeout="40ms")
    answer = await late
    assert answer.status == 429
    assert desk.control.tallies["global-default", "global-default"].refused == {"time-out": 1}
    assert "late" not in desk.served
    desk.let_all()
    await asyncio.gather(*held)


async def test_masters_never_wait() -> None:
    desk = Desk()
    held = [await desk.ask(f"held {number}") for number in range(5)]
    master = await desk.ask("master", MASTER)
    assert "master" in desk.served
    desk.let("master")
    assert (await master).status == 200
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_whoever_goes_away_while_waiting_leaves_the_queue() -> None:
    desk = Desk()
    held = [await desk.ask(name) for name in ("one", "two")]
    gone = await desk.ask("gone")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert desk.queues.requests_waiting == 0
    assert desk.queues.cancelled == 1
    desk.let_all()
    await asyncio.gather(*held)
    assert desk.queues.is_idle


async def _watch(desk: Desk) -> StreamResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"initial"
        yield b"change"

    async def watching(request: Request) -> Answer:
        return StreamResponse(chunks())

    answer = await desk.filter(desk.request("watch", watch="true"), watching)
    assert isinstance(answer, StreamResponse)
    return answer


async def test_a_watch_holds_a_seat_until_its_initial_events_are_written() -> None:
    desk = Desk()
    answer = await _watch(desk)
    assert desk.queues.seats_in_use == 1
    assert await anext(answer.chunks) == b"initial"
    assert desk.queues.seats_in_use == 1
    assert await anext(answer.chunks) == b"change"
    assert desk.queues.seats_in_use == 0
    assert desk.control.watches.interested("", "pods", "d", "") == 1
    await answer.chunks.aclose()  # type: ignore[attr-defined]
    assert desk.control.watches.interested("", "pods", "d", "") == 0
    assert desk.queues.is_idle


async def test_a_watch_that_nobody_reads_gives_its_seat_back() -> None:
    desk = Desk()
    answer = await _watch(desk)
    await answer.chunks.aclose()  # type: ignore[attr-defined]
    assert desk.queues.is_idle
    assert desk.control.watches.interested("", "pods", "d", "") == 0


async def test_a_watch_that_is_refused_gives_its_seat_back() -> None:
    desk = Desk()

    async def refusing(request: Request) -> Answer:
        raise LookupError

    with pytest.raises(LookupError):
        await desk.filter(desk.request("watch", watch="true"), refusing)
    assert desk.queues.is_idle
    assert desk.control.watches.interested("", "pods", "d", "") == 0


async def test_a_handler_that_fails_gives_its_seat_back() -> None:
    desk = Desk()

    async def failing(request: Request) -> Answer:
        raise LookupError

    with pytest.raises(LookupError):
        await desk.filter(desk.request("x"), failing)
    assert desk.queues.is_idle
