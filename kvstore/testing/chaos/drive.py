"""Scripts and watchers of `traffic` run against real clients, and all they see recorded.

A client has one request under way at a time; its outcome is recorded as it is, also if that is "unknown". What locks
guard is a resource in this process that knows the newest fencing token it has seen, and refuses older ones.
"""

import asyncio
import random
from collections.abc import Callable

from kvstore.base.clock import Clock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, Compacted
from kvstore.client.watch import Watcher
from kvstore.testing.chaos.traffic import Begin, ClientPlan, End, Pause, WatchPlan
from kvstore.testing.history.history import History, Pending
from kvstore.testing.history.perform import perform, watch_event
from kvstore.testing.history.records import (
    Failed,
    Guarded,
    Ok,
    Outcome,
    Request,
    Unknown,
    WatchRecord,
    WatchResponse,
)

_BROKEN_PAUSE_SECONDS = 0.2


class FencedResources:
    """What locks guard: each name with the newest token it was used with."""

    def __init__(self, rng: random.Random, clock: Clock) -> None:
        self._rng, self._clock = rng, clock
        self._newest: dict[bytes, int] = {}

    async def use(self, request: Guarded) -> Outcome:
        """A use takes a moment to arrive, as real ones do; refused if a newer holder was here before."""
        await self._clock.sleep(self._rng.uniform(0, 0.02))
        if request.token < self._newest.get(request.name, 0):
            return Failed("StaleToken")
        self._newest[request.name] = request.token
        return Ok(0)


class ClientDriver:
    """Runs one script."""

    def __init__(
        self,
        plan: ClientPlan,
        client: Client,
        history: History,
        resources: FencedResources,
        clock: Clock,
    ) -> None:
        self.plan, self.client = plan, client
        self._history, self._resources, self._clock = history, resources, clock
        self._begun: Pending | None = None
        self.counts = {"ok": 0, "failed": 0, "unknown": 0}

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Until `is_over`; what is begun then ends unknown, with the history."""
        outcome: Outcome | None = None
        script = self.plan.script
        step = next(script)
        while not is_over():
            outcome = None
            match step:
                case Pause(seconds):
                    await self._clock.sleep(seconds)
                case Begin(request):
                    now = self._clock.monotonic()
                    self._begun = self._history.begin(self.plan.name, request, now)
                case End(how):
                    if self._begun is not None:
                        self._history.end(self._begun, self._clock.monotonic(), how)
                        self._begun = None
                case _:
                    outcome = await self._do(step)
            step = script.send(outcome)
        script.close()

    async def _do(self, request: Request) -> Outcome:
        pending = self._history.begin(self.plan.name, request, self._clock.monotonic())
        if isinstance(request, Guarded):
            outcome = await self._resources.use(request)
        else:
            outcome = await perform(self.client, request)
        self._history.end(pending, self._clock.monotonic(), outcome)
        key = "ok" if isinstance(outcome, Ok) else "failed"
        self.counts["unknown" if isinstance(outcome, Unknown) else key] += 1
        return outcome


class WatchDriver:
    """Runs one watcher; the client resumes it across losses, so one session may span many streams.

    `start_revision` is the first of the run, for those that see it all.
    """

    def __init__(
        self, plan: WatchPlan, client: Client, history: History, clock: Clock, start_revision: int
    ) -> None:
        self.plan, self.client = plan, client
        self._history, self._clock = history, clock
        self.next_revision = 0
        """Everything before it was delivered."""
        self._next_start = start_revision if plan.from_start else 0
        self.sessions = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._session()

    async def _session(self) -> None:
        plan, start = self.plan, self._next_start
        record = WatchRecord(
            self._history.next_id(),
            plan.name,
            self._clock.monotonic(),
            plan.key,
            plan.range_end,
            start,
            prev_kv=plan.prev_kv,
            progress_notify=plan.progress_notify,
            no_put=plan.no_put,
            no_delete=plan.no_delete,
        )
        self._history.append(record)
        self.sessions += 1
        watcher = self.client.watch(
            plan.key,
            range_end=plan.range_end,
            start_revision=start,
            prev_kv=plan.prev_kv,
            progress_notify=plan.progress_notify,
            without_puts=plan.no_put,
            without_deletes=plan.no_delete,
        )
        try:
            async with asyncio.timeout(plan.lasts_seconds or None):
                await self._read(watcher, record.id)
        except TimeoutError:
            # Without a filter its place is known; with one, what lies between was not shown and is not missed.
            self._next_start = self.next_revision
        except Compacted as error:
            now = self._clock.monotonic()
            revision = error.compact_revision
            self._record(WatchResponse(record.id, now, "canceled", compact_revision=revision))
            self._next_start = revision or self.next_revision
        except ClientError as error:
            now = self._clock.monotonic()
            self._record(WatchResponse(record.id, now, "broken", reason=type(error).__name__))
            self._next_start = self.next_revision
            await self._clock.sleep(_BROKEN_PAUSE_SECONDS)
        finally:
            await watcher.aclose()

    async def _read(self, watcher: Watcher, session: int) -> None:
        await watcher.start()
        self.next_revision = watcher.next_revision
        now = self._clock.monotonic()
        self._record(WatchResponse(session, now, "created", max(1, self.next_revision - 1)))
        async for batch in watcher:
            kind = "events" if batch.events else "progress"
            events = tuple(watch_event(event) for event in batch.events)
            now = self._clock.monotonic()
            self._record(WatchResponse(session, now, kind, batch.revision, events))
            self.next_revision = watcher.next_revision

    def _record(self, response: WatchResponse) -> None:
        self._history.append(response)
