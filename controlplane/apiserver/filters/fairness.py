"""API priority and fairness: whose request is served next when there are more than the server can serve at once.

A request is served at once while its priority level has seats. Else it waits in a queue of its flow, at most a quarter
of its time, or is sent away with 429. Watches hold a seat until their initial events are written; logs and streams
hold none. Whatever is answered says by headers which FlowSchema and which level it was of.

Source: apiserver/pkg/server/filters/priority-and-fairness.go.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from controlplane.apiserver.authz.interface import selected
from controlplane.apiserver.filters.deadline import seconds_of
from controlplane.apiserver.filters.flow_control import READ_VERBS, refusal
from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.flowcontrol import work
from controlplane.apiserver.flowcontrol.control import Flow, FlowControl
from controlplane.apiserver.flowcontrol.queues import Ticket
from controlplane.apiserver.flowcontrol.work import Work
from controlplane.apiserver.http.messages import Answer, Request, StreamResponse
from controlplane.apiserver.metrics import Metrics
from kvstore.base.clock import Clock

SCHEMA_HEADER = "X-Kubernetes-Pf-Flowschema-Uid"
LEVEL_HEADER = "X-Kubernetes-Pf-Prioritylevel-Uid"
# The part of a request's time that it may wait, and the most of it.
_WAITING_PART = 1 / 4
_MOST_WAITING_SECONDS = 60.0
_MUTATING = ("create", "update", "patch", "delete")

# How many objects of a kind are stored, by group, version and resource; None when that is not known.
CountOf = Callable[[str, str, str], int | None]


class Fairness:
    """The filter; requests without a deadline wait as if they had one of `request_seconds`."""

    def __init__(
        self,
        control: FlowControl,
        metrics: Metrics,
        clock: Clock,
        count_of: CountOf,
        request_seconds: float,
    ) -> None:
        self._control = control
        self._now = clock.monotonic
        self._count_of = count_of
        self._request_seconds = request_seconds
        self._in_flight = {
            is_read: metrics.in_flight.labels("readOnly" if is_read else "mutating")
            for is_read in (True, False)
        }
        self._in_queue = {
            is_read: metrics.in_queue.labels("readOnly" if is_read else "mutating")
            for is_read in (True, False)
        }

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Serve, at once or when it is this request's turn, or send away."""
        info = request.info
        is_watch = info.verb == "watch"
        if not is_watch and is_long(info):
            return await proceed(request)
        flow = self._control.classify(request.user, info)
        request.answer_headers[SCHEMA_HEADER] = flow.schema.uid
        request.answer_headers[LEVEL_HEADER] = flow.level.uid
        tally = flow.tally
        estimate = self._estimate(request, flow)
        tally.seats.observe(estimate.seats)
        queues = flow.level.queues
        asker = (request.user.name, info)
        ticket = queues.start(estimate, flow.hand, tally, flow.distinguisher, asker)
        if ticket is None:
            return self._refused(flow)
        if ticket.is_executing:
            tally.waited.observe(0.0)
        elif not await self._wait(request, flow, ticket):
            return self._refused(flow)
        if is_watch:
            return await self._watch(request, proceed, flow, ticket)
        gauge = self._in_flight[info.verb in READ_VERBS]
        gauge.inc()
        try:
            return await proceed(request)
        finally:
            gauge.dec()
            queues.finish(ticket)
            tally.execution.observe(self._now() - ticket.started)
            self._control.ended(flow.level)

    def _refused(self, flow: Flow) -> Answer:
        self._control.ended(flow.level)
        return refusal(flow.level.retry_after.refused(self._now()))

    async def _wait(self, request: Request, flow: Flow, ticket: Ticket) -> bool:
        """Wait for the turn; False when it does not come in time."""
        queues = flow.level.queues
        served = asyncio.Event()
        ticket.wake = served.set
        most = self._request_seconds
        if request.info.is_resource and not is_long(request.info):
            most = seconds_of(request, self._request_seconds)
        seconds = min(most * _WAITING_PART, _MOST_WAITING_SECONDS)
        gauge = self._in_queue[request.info.verb in READ_VERBS]
        gauge.inc()
        try:
            async with asyncio.timeout(seconds):
                await served.wait()
        except TimeoutError:
            # It may have been given its seat in the same turn of the loop.
            if queues.leave(ticket):
                flow.tally.waited_in_vain.observe(self._now() - ticket.arrived)
                return False
        except asyncio.CancelledError:
            if not queues.leave(ticket, is_cancelled=True):
                queues.finish(ticket)
            self._control.ended(flow.level)
            raise
        finally:
            gauge.dec()
        flow.tally.waited.observe(ticket.started - ticket.arrived)
        return True

    def _estimate(self, request: Request, flow: Flow) -> Work:
        info = request.info
        if not info.is_resource:
            return work.ONE_SEAT
        if info.verb in _MUTATING:
            if info.resource == "serviceaccounts" and info.subresource == "token":
                return work.ONE_SEAT
            watches = self._control.watches.interested(
                info.group, info.resource, info.namespace, info.name
            )
            flow.tally.watches.observe(watches)
            return work.of_write(watches, flow.level.most_seats)
        if info.verb == "list":
            return self._of_list(request, flow)
        if info.verb == "watch":
            begins_with_state = request.flag("sendInitialEvents") or request.option(
                "resourceVersion"
            ) in ("", "0")
            return self._of_list(request, flow) if begins_with_state else work.ONE_SEAT
        return work.ONE_SEAT

    def _of_list(self, request: Request, flow: Flow) -> Work:
        info = request.info
        limit = request.option("limit")
        field_selector = request.option("fieldSelector")
        reading = work.Reading(
            stored=self._count_of(info.group, info.version, info.resource),
            limit=int(limit) if limit.isdecimal() else 0,
            is_single=bool(info.name or selected(field_selector, "metadata.name")),
            is_from_cache=info.verb == "watch" or not request.option("continue"),
            has_selector=bool(field_selector or request.option("labelSelector")),
        )
        return work.of_list(reading, flow.level.most_seats)

    async def _watch(self, request: Request, proceed: Next, flow: Flow, ticket: Ticket) -> Answer:
        """A seat until the watch stands; from the beginning it counts among those that hear of writes."""
        info = request.info
        node = selected(request.option("fieldSelector"), "spec.nodeName")
        watches = self._control.watches
        place = watches.began(info.group, info.resource, info.namespace, info.name, node)
        release = _Once(lambda: self._watch_stands(flow, ticket))
        try:
            answer = await proceed(request)
        except BaseException:
            release()
            watches.ended(place)
            raise
        if not isinstance(answer, StreamResponse):
            release()
            watches.ended(place)
            return answer
        forget = _Once(lambda: watches.ended(place))
        answer.chunks = _Followed(answer.chunks, release, forget)
        return answer

    def _watch_stands(self, flow: Flow, ticket: Ticket) -> None:
        flow.level.queues.finish(ticket)
        flow.tally.watch_execution.observe(self._now() - ticket.started)
        self._control.ended(flow.level)


class _Once:
    """A call that is done the first time only."""

    __slots__ = ("_call", "_is_done")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._is_done = False

    def __call__(self) -> None:
        if not self._is_done:
            self._is_done = True
            self._call()


class _Followed:
    """A watch's chunks; the seat is given back when the first one, with the initial events, has been written.

    An object and not a generator: one that is thrown away before its first chunk gives back, too.
    """

    def __init__(self, chunks: AsyncIterator[bytes], release: _Once, forget: _Once) -> None:
        self._chunks = chunks
        self._release = release
        self._forget = forget
        self._taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._taken == 1:
            self._release()
        self._taken += 1
        try:
            return await anext(self._chunks)
        except BaseException:
            self._end()
            raise

    async def aclose(self) -> None:
        """The reader is gone, or the watch has ended."""
        self._end()
        aclose = getattr(self._chunks, "aclose", None)
        if aclose is not None:
            await aclose()

    def _end(self) -> None:
        self._release()
        self._forget()
