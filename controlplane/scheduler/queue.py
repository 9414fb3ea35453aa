"""Pods that wait for a node, in four places.

    active         a heap in the order of the profile's queue sort plugin; `pop` takes from here
    backoff        pods that failed lately and are worth another try once their delay is over
    unschedulable  pods that no event has given new hope; after five minutes they are tried anyway
    gated          pods that a PreEnqueue plugin keeps out, until they change or an event comes that it names

A pod moves from *unschedulable* when an event comes that one of the plugins which refused it named as its cure. Events
that come while a pod is being tried are kept, so that none is lost between the snapshot and the verdict.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.api.meta import View
from controlplane.scheduler.framework import events
from controlplane.scheduler.framework.events import ClusterEvent
from controlplane.scheduler.framework.node_info import PodInfo, pod_info
from controlplane.scheduler.framework.status import Status
from kvstore.base.clock import Clock

INITIAL_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 10.0
LEFTOVER_SECONDS = 300.0
"""How long a pod may sit in *unschedulable* without any event."""


class Profile(Protocol):
    """What the queue asks of a profile; a `Framework` is one."""

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[float, ...]:
        """The place in the queue; smaller comes first."""
        ...

    def pre_enqueue(self, pod: PodInfo) -> Status:
        """Whether the pod may be tried at all."""
        ...

    def worth_a_try(
        self,
        pod: PodInfo,
        refused_by: frozenset[str],
        event: ClusterEvent,
        old: View | None,
        new: View | None,
    ) -> bool:
        """Whether a change may help a pod that these plugins refused."""
        ...


ProfileOf = Callable[[PodInfo], Profile]
Happening = tuple[ClusterEvent, View | None, View | None]


@dataclass(slots=True, eq=False)
class QueuedPod:
    """A waiting pod, its tries, and who refused it last."""

    pod: PodInfo
    added_at: float
    attempts: int = 0
    failed_at: float = 0.0
    refused_by: frozenset[str] = field(default_factory=frozenset)

    def backoff_seconds(self, first: float, last: float) -> float:
        """`first` after the first failure, doubling up to `last`."""
        return min(last, first * 2.0 ** min(32, max(0, self.attempts - 1)))


class SchedulingQueue:
    """The three places; all methods but `pop` are synchronous."""

    def __init__(
        self,
        clock: Clock,
        profile_of: ProfileOf,
        *,
        initial_backoff_seconds: float = INITIAL_BACKOFF_SECONDS,
        max_backoff_seconds: float = MAX_BACKOFF_SECONDS,
    ) -> None:
        self._clock = clock
        self._profile_of = profile_of
        self._first_backoff = initial_backoff_seconds
        self._last_backoff = max_backoff_seconds
        self._order = itertools.count()
        self._active: dict[str, QueuedPod] = {}
        self._heap: list[tuple[tuple[float, ...], int, str]] = []
        self._backoff: dict[str, float] = {}
        self._backoff_pods: dict[str, QueuedPod] = {}
        self._unschedulable: dict[str, QueuedPod] = {}
        self._gated: dict[str, QueuedPod] = {}
        self._in_flight: dict[str, QueuedPod] = {}
        self._events_in_flight: dict[str, list[Happening]] = {}
        self._changed = asyncio.Event()

    def sizes(self) -> dict[str, int]:
        """How many pods wait in each place; for metrics."""
        return {
            "active": len(self._active),
            "backoff": len(self._backoff_pods),
            "unschedulable": len(self._unschedulable),
            "gated": len(self._gated),
        }

    def add(self, pod: View) -> None:
        """A pod without a node appeared."""
        info = pod_info(pod)
        if info.uid in self._in_flight:
            return
        self._take(info.uid)
        self._activate(QueuedPod(info, self._clock.monotonic()))

    def update(self, pod: View, *, relevant: bool) -> None:
        """A waiting pod changed; `relevant` if the change could make it fit."""
        info = pod_info(pod)
        flying = self._in_flight.get(info.uid)
        if flying is not None:
            flying.pod = info
            if relevant:
                self._events_in_flight[info.uid].append((events.POD_ITSELF, None, pod))
            return
        for place in (self._active, self._backoff_pods):
            if info.uid in place:
                place[info.uid].pod = info
                return
        gated = self._gated.pop(info.uid, None)
        if gated is not None:
            gated.pod = info
            self._activate(gated)
            return
        waiting = self._unschedulable.get(info.uid)
        if waiting is None:
            self.add(pod)
            return
        waiting.pod = info
        if relevant:
            del self._unschedulable[info.uid]
            self._retry(waiting)

    def delete(self, uid: str) -> None:
        """The pod is gone or has a node."""
        self._take(uid)
        self._in_flight.pop(uid, None)
        self._events_in_flight.pop(uid, None)

    def move_all(
        self, event: ClusterEvent, old: View | None = None, new: View | None = None
    ) -> None:
        """Something changed in the cluster, from `old` to `new`: give hope to the pods it may help."""
        for happened in self._events_in_flight.values():
            happened.append((event, old, new))
        for place in (self._unschedulable, self._gated):
            for uid, waiting in list(place.items()):
                if self._worth_a_try(waiting.pod, waiting.refused_by, (event, old, new)):
                    del place[uid]
                    self._retry(waiting)

    def _worth_a_try(self, pod: PodInfo, refused_by: frozenset[str], happening: Happening) -> bool:
        return self._profile_of(pod).worth_a_try(pod, refused_by, *happening)

    async def pop(self) -> QueuedPod:
        """Wait for the next pod; the caller must answer with `done` or `failed`."""
        while True:
            self._flush()
            while self._heap:
                uid = heapq.heappop(self._heap)[2]
                queued = self._active.pop(uid, None)
                if queued is not None:
                    queued.attempts += 1
                    self._in_flight[uid] = queued
                    self._events_in_flight[uid] = []
                    return queued
            self._changed.clear()
            await self._wait(self._next_flush())

    def done(self, queued: QueuedPod) -> None:
        """The pod got a node, or needs none any more."""
        self._in_flight.pop(queued.pod.uid, None)
        self._events_in_flight.pop(queued.pod.uid, None)

    def failed(self, queued: QueuedPod, refused_by: frozenset[str], *, error: bool = False) -> None:
        """No node: wait for an event, or - after an error or an event in between - for the delay."""
        uid = queued.pod.uid
        if self._in_flight.pop(uid, None) is None:
            return  # Deleted while it was tried.
        happened = self._events_in_flight.pop(uid, [])
        queued.failed_at = self._clock.monotonic()
        queued.refused_by = refused_by
        if error or any(self._worth_a_try(queued.pod, refused_by, one) for one in happened):
            self._retry(queued)
        else:
            self._unschedulable[uid] = queued
            self._changed.set()

    def check_invariants(self) -> None:
        """A pod is in one place only."""
        places = (
            self._active,
            self._backoff_pods,
            self._unschedulable,
            self._gated,
            self._in_flight,
        )
        uids = [uid for place in places for uid in place]
        assert len(uids) == len(set(uids)), uids
        assert self._backoff.keys() == self._backoff_pods.keys()

    def _take(self, uid: str) -> None:
        self._active.pop(uid, None)
        self._backoff_pods.pop(uid, None)
        self._backoff.pop(uid, None)
        self._unschedulable.pop(uid, None)
        self._gated.pop(uid, None)

    def _activate(self, queued: QueuedPod) -> None:
        uid = queued.pod.uid
        profile = self._profile_of(queued.pod)
        status = profile.pre_enqueue(queued.pod)
        if not status.ok:
            queued.refused_by = frozenset({status.plugin})
            self._gated[uid] = queued
            return
        self._active[uid] = queued
        key = profile.sort_key(queued.pod, queued.added_at)
        heapq.heappush(self._heap, (key, next(self._order), uid))
        self._changed.set()

    def _retry(self, queued: QueuedPod) -> None:
        ready_at = queued.failed_at + queued.backoff_seconds(
            self._first_backoff, self._last_backoff
        )
        if ready_at <= self._clock.monotonic():
            self._activate(queued)
        else:
            self._backoff[queued.pod.uid] = ready_at
            self._backoff_pods[queued.pod.uid] = queued
            self._changed.set()

    def _flush(self) -> None:
        now = self._clock.monotonic()
        for uid in [uid for uid, ready_at in self._backoff.items() if ready_at <= now]:
            del self._backoff[uid]
            self._activate(self._backoff_pods.pop(uid))
        for uid, waiting in list(self._unschedulable.items()):
            if waiting.failed_at + LEFTOVER_SECONDS <= now:
                del self._unschedulable[uid]
                self._activate(waiting)

    def _next_flush(self) -> float | None:
        times = list(self._backoff.values())
        times += [w.failed_at + LEFTOVER_SECONDS for w in self._unschedulable.values()]
        return min(times, default=None)

    async def _wait(self, until: float | None) -> None:
        if until is None:
            await self._changed.wait()
            return
        async with asyncio.TaskGroup() as group:
            change = group.create_task(self._changed.wait())
            timer = group.create_task(self._clock.sleep(until - self._clock.monotonic()))
            await asyncio.wait((change, timer), return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            timer.cancel()
