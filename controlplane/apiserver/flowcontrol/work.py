"""What a request will cost, in seats: a list by the objects it reads, a write by the watches that hear of it.

Source: apiserver/pkg/util/flowcontrol/request (width.go, list_work_estimator.go, mutating_work_estimator.go), with the
older estimate of lists by the number of objects: one seat a hundred.
"""

import math
from dataclasses import dataclass

MOST_SEATS = 10
_OBJECTS_PER_SEAT = 100.0
_WATCHES_PER_SEAT = 10.0
# How long a watch's share of a write takes after its end.
_EVENT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Work:
    """Seats while a request is served, and those that it keeps for some seconds after its answer."""

    initial_seats: int = 1
    final_seats: int = 0
    additional_seconds: float = 0.0

    @property
    def seats(self) -> int:
        """The most that it holds at once."""
        return max(self.initial_seats, self.final_seats)


ONE_SEAT = Work()
_BY_SEATS = tuple(Work(seats) for seats in range(MOST_SEATS + 1))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list, or a watch that begins with one, will read.

    `stored` is how many objects of the kind there are; None when that is not known, as for a kind of another server.
    """

    stored: int | None
    limit: int = 0
    is_single: bool = False
    is_from_cache: bool = True
    has_selector: bool = False


def of_list(reading: Reading, most_seats: int) -> Work:
    """The work of a list; `most_seats` is the level's bound, 0 for none."""
    if reading.stored is None:
        return ONE_SEAT
    limited = min(reading.limit, reading.stored) if reading.limit > 0 else reading.stored
    if reading.is_single:
        objects = 1
    elif reading.is_from_cache:
        objects = reading.stored
    elif reading.has_selector:
        objects = reading.stored + limited
    else:
        objects = 2 * limited
    seats = math.ceil(objects / _OBJECTS_PER_SEAT)
    return _BY_SEATS[max(1, min(seats, _bounded(most_seats)))]


def of_write(watches: int, most_seats: int) -> Work:
    """The work of a write that `watches` watches will hear of."""
    if watches < _WATCHES_PER_SEAT:
        return ONE_SEAT
    wanted = math.ceil(watches / _WATCHES_PER_SEAT)
    seats = min(wanted, _bounded(most_seats))
    # The same area: fewer seats are kept for longer.
    return Work(1, seats, wanted * _EVENT_SECONDS / seats)


def _bounded(most_seats: int) -> int:
    return MOST_SEATS if most_seats == 0 else min(most_seats, MOST_SEATS)
