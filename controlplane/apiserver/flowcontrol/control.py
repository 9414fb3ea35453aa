"""All levels and schemas of a server: takes in the configuration, classifies requests, lets levels borrow.

Source: apiserver/pkg/util/flowcontrol/apf_controller.go.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.flowcontrol.allocation import Claim, allocate
from controlplane.apiserver.flowcontrol.dealing import deal, flow_hash
from controlplane.apiserver.flowcontrol.levels import CATCH_ALL, EXEMPT, Level, LevelSpec
from controlplane.apiserver.flowcontrol.matching import Schema
from controlplane.apiserver.flowcontrol.queues import QueueSet
from controlplane.apiserver.flowcontrol.tally import Tally
from controlplane.apiserver.flowcontrol.watch_counts import WatchCounts
from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import User

BORROWING_SECONDS = 10.0
"""How often seats are divided anew."""
# Requests remembered with their flow. They are told by what clients send, so there must be an end.
_MOST_REMEMBERED = 4096

Later = Callable[[float, Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where a request belongs."""

    schema: Schema
    level: Level
    distinguisher: str
    hand: tuple[int, ...]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Reference:
    """Whether the level that a FlowSchema names is there."""

    schema: Obj
    level: str
    is_dangling: bool


class FlowControl:
    """Decides whose request is served next.

    `mandatory` are the objects that are heeded even when nobody has stored them.
    """

    def __init__(
        self, seats: int, mandatory: Iterable[Obj], now: Callable[[], float], later: Later
    ) -> None:
        self.seats = seats
        self.levels: dict[str, Level] = {}
        self.schemas: list[Schema] = []
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.watches = WatchCounts()
        self.fair_fraction = 0.0
        self.nominal_sum = 0
        # Set when a level that is wanted no more has become idle.
        self.has_idle_leftovers = False
        self._mandatory = tuple(mandatory)
        self._now = now
        self._later = later
        self._remembered: dict[tuple[object, ...], Flow] = {}
        self.digest((), ())

    def classify(self, user: User, info: RequestInfo) -> Flow:
        """The flow of a request; there always is one."""
        key: tuple[object, ...] = (user.name, user.groups, info.verb, info.path)
        if info.is_resource:
            key = (
                *(user.name, user.groups, info.verb),
                *(info.group, info.resource, info.subresource, info.namespace),
            )
        flow = self._remembered.get(key)
        if flow is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            flow = self._remembered[key] = self._classified(user, info)
        return flow

    def _classified(self, user: User, info: RequestInfo) -> Flow:
        schema = next((one for one in self.schemas if one.matches(user, info)), None)
        if schema is None:
            # Users of no group at all: none of the server's ways to tell users makes one.
            schema = next(one for one in self.schemas if one.name == CATCH_ALL)
        level = self.levels[schema.level]
        distinguisher = ""
        hand: tuple[int, ...] = ()
        queuing = level.spec.queuing
        if queuing is not None:
            if queuing.queues > 1:
                distinguisher = schema.flow_of(user, info)
            hash_value = flow_hash(schema.name, distinguisher) if queuing.queues > 1 else 0
            hand = deal(hash_value, queuing.queues, queuing.hand_size)
        place = (level.name, schema.name)
        tally = self.tallies.get(place)
        if tally is None:
            tally = self.tallies[place] = Tally(*place)
        return Flow(schema, level, distinguisher, hand, tally)

    def ended(self, level: Level) -> None:
        """A request of a level has ended or was refused."""
        if level.is_quiescing and level.queues.is_idle:
            self.has_idle_leftovers = True

    def digest(self, levels: Iterable[Obj], schemas: Iterable[Obj]) -> list[Reference]:
        """Heed these objects from now on; what is to be told in the schemas' status."""
        self.has_idle_leftovers = False
        wanted = self._wanted(levels)
        references = [
            Reference(obj, Schema.of(obj).level, Schema.of(obj).level not in wanted)
            for obj in schemas
        ]
        made = [Schema.of(one.schema) for one in references if not one.is_dangling]
        names = {schema.name for schema in made}
        made += [
            Schema.of(obj)
            for obj in self._mandatory
            if obj["kind"] == "FlowSchema" and meta.name(obj) not in names
        ]
        self.schemas = sorted(made, key=lambda schema: schema.order)
        self._keep_busy(wanted)
        for obj in self._mandatory:
            if obj["kind"] != "FlowSchema" and meta.name(obj) not in wanted:
                wanted[meta.name(obj)] = self._level(obj, LevelSpec.of(obj))
        self.levels = wanted
        self._remembered.clear()
        self._forget_tallies()
        self._share()
        return references

    def _wanted(self, levels: Iterable[Obj]) -> dict[str, Level]:
        wanted: dict[str, Level] = {}
        for obj in levels:
            try:
                spec = LevelSpec.of(obj)
            except ValueError:
                continue
            wanted[meta.name(obj)] = self._level(obj, spec)
        return wanted

    def _level(self, obj: Obj, spec: LevelSpec) -> Level:
        level = self.levels.get(meta.name(obj))
        if level is None:
            queues = QueueSet(self._now, self._later, is_exempt=spec.is_exempt)
            return Level(meta.name(obj), meta.uid(obj), spec, queues)
        level.uid, level.spec, level.is_quiescing = meta.uid(obj), spec, False
        return level

    def _keep_busy(self, wanted: dict[str, Level]) -> None:
        """Levels without an object stay until their last request has ended."""
        for name, level in self.levels.items():
            if name in wanted or name in (EXEMPT, CATCH_ALL):
                continue
            if not level.queues.is_idle:
                level.is_quiescing = True
                wanted[name] = level

    def _forget_tallies(self) -> None:
        there = {(one.level, one.name) for one in self.schemas}
        for place, tally in list(self.tallies.items()):
            busy = tally.executing or tally.waiting or tally.executing_seats
            if place not in there and place[0] not in self.levels and not busy:
                del self.tallies[place]

    def _share(self) -> None:
        all_shares = float(sum(level.spec.shares for level in self.levels.values()))
        for level in self.levels.values():
            level.share(self.seats, all_shares)
        self.nominal_sum = sum(level.nominal for level in self.levels.values())
        self.divide()

    def divide(self) -> None:
        """Give each level seats by what it could have used lately; to be called each `BORROWING_SECONDS`."""
        now = self._now()
        limited: list[Level] = []
        remaining = self.nominal_sum
        for level in self.levels.values():
            level.demand.update(level.queues.demand.reset(now))
            if level.spec.is_exempt:
                remaining -= level.least_now
                level.assign(level.least_now)
            else:
                level.target = max(float(level.least_now), level.demand.smoothed)
                limited.append(level)
        for level, seats in zip(limited, self._divided(limited, remaining), strict=True):
            level.assign(seats)

    def _divided(self, levels: list[Level], remaining: int) -> list[int]:
        lowest = sum(level.lowest for level in levels)
        least = sum(level.least_now for level in levels)
        self.fair_fraction = 0.0
        if remaining <= lowest:
            return [level.lowest for level in levels]
        if remaining <= least:
            part = (remaining - lowest) / (least - lowest)
            return [
                level.lowest + _rounded((level.least_now - level.lowest) * part) for level in levels
            ]
        claims = [
            Claim(float(level.least_now), float(level.highest), level.target) for level in levels
        ]
        try:
            # Compat: the sum of all levels, as the original has it, though exempt ones have used some of it.
            shares, self.fair_fraction = allocate(self.nominal_sum, claims)
        except ValueError:
            return [level.current for level in levels]
        return [_rounded(share) for share in shares]


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
