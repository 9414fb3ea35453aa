"""The tables of /debug/api_priority_and_fairness: levels, queues, requests.

Source: apiserver/pkg/util/flowcontrol/apf_controller_debug.go, columns and all.
"""

from collections.abc import Callable, Iterator

from controlplane.api import times
from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.flowcontrol.levels import Level
from controlplane.apiserver.flowcontrol.queues import Ticket
from controlplane.apiserver.http.info import RequestInfo

_LEVELS = (
    *("PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests"),
    *("ExecutingRequests", "DispatchedRequests", "RejectedRequests", "TimedoutRequests"),
    "CancelledRequests",
)
_QUEUES = (
    *("PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse"),
    *("NextDispatchR", "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum"),
)
_REQUESTS = (
    *("PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue"),
    # Compat: misspelt as there.
    *("FlowDistingsher", "ArriveTime", "InitialSeats", "FinalSeats", "AdditionalLatency"),
    "StartTime",
)
_DETAILS = (
    *("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"),
)
# Of a request that is being served.
_NO_INDEX = -1


def levels(control: FlowControl) -> str:
    """A line a level."""
    rows = []
    for level in _sorted(control):
        queues = level.queues
        rows.append(
            (
                *(level.name, str(sum(bool(one.waiting) for one in queues.queues))),
                *(_go(queues.is_idle), _go(level.is_quiescing)),
                *(str(queues.requests_waiting), str(queues.requests_executing)),
                *(str(queues.dispatched), str(queues.rejected), str(queues.timed_out)),
                str(queues.cancelled),
            )
        )
    return _table([_LEVELS, *rows])


def queues(control: FlowControl) -> str:
    """A line a queue."""
    rows = []
    for level in _sorted(control):
        for queue in level.queues.queues:
            waiting = queue.waiting
            rows.append(
                (
                    *(level.name, str(queue.index), str(len(waiting)), str(queue.executing)),
                    *(str(queue.seats_in_use), _seat_seconds(queue.next_r)),
                    str(sum(one.work.initial_seats for one in waiting)),
                    str(sum(one.seats for one in waiting)),
                    _seat_seconds(queue.waiting_work),
                )
            )
    return _table([_QUEUES, *rows])


def requests(control: FlowControl, wall: Callable[[float], float], *, has_details: bool) -> str:
    """A line a request, those that wait before those that are served; `wall` makes wall-clock time of the queues'."""
    rows = [(*_REQUESTS, *(_DETAILS if has_details else ()))]
    for level in _sorted(control):
        for ticket, queue, place in _tickets(level):
            work = ticket.work
            row = (
                *(level.name, ticket.tally.schema, str(queue), str(place), ticket.flow),
                times.to_micro(wall(ticket.arrived)),
                *(str(work.initial_seats), str(work.final_seats)),
                f"{work.additional_seconds * 1000:g}ms" if work.additional_seconds else "0s",
                times.to_micro(wall(ticket.started))
                if ticket.is_executing
                else "0001-01-01T00:00:00Z",
            )
            rows.append((*row, *_details(ticket)) if has_details else row)
    return _table(rows)


def _sorted(control: FlowControl) -> list[Level]:
    return [control.levels[name] for name in sorted(control.levels)]


def _tickets(level: Level) -> Iterator[tuple[Ticket, int, int]]:
    for queue in level.queues.queues:
        for place, ticket in enumerate(queue.waiting):
            yield ticket, queue.index, place
        for ticket in level.queues.in_queues:
            if ticket.queue is queue:
                yield ticket, queue.index, _NO_INDEX
    for ticket in level.queues.queueless:
        yield ticket, _NO_INDEX, _NO_INDEX


def _details(ticket: Ticket) -> tuple[str, ...]:
    user, info = ticket.request
    assert isinstance(info, RequestInfo)
    version = f"{info.group}/{info.version}" if info.group else info.version
    return (
        *(user, info.verb, info.path, info.namespace, info.name, version, info.resource),
        info.subresource,
    )


def _go(value: bool) -> str:
    return "true" if value else "false"


def _seat_seconds(value: float) -> str:
    return f"{value:.8f}ss"


def _table(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as their widest cell and its comma, at least eight, and one space between them."""
    cells = [[cell + "," for cell in row[:-1]] for row in rows]
    widths = [max(8, *(len(cell) + 1 for cell in column)) for column in zip(*cells, strict=True)]
    lines = []
    for row, words in zip(rows, cells, strict=True):
        shown = [word.ljust(width) for word, width in zip(words, widths, strict=True)]
        lines.append("".join(shown) + row[-1] + "\n")
    return "".join(lines)
