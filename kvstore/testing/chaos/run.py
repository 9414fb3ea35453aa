"""A chaos run on real processes: traffic by a seed, faults by a seed, heal, and what must then be true.

The run goes in this order: clients and watchers start on all members; the schedule of faults is carried out; traffic
stops, everything is healed; every watcher must arrive at a last change made for it; every member is read and asked for
its hash; then the checkers judge the history. `ask_stop` ends the traffic early and goes on with the rest, so that a
run that is cut short has a verdict all the same.

The seed decides the schedule and each client's choices. Real processes interleave as they like, so a seed repeats the
plan and not the outcome: a violation is proved by its history, which is kept.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.testing.chaos import nemesis
from kvstore.testing.chaos.drive import ClientDriver, FencedResources, WatchDriver
from kvstore.testing.chaos.nemesis import KINDS, Step
from kvstore.testing.chaos.outsiders import Outsiders
from kvstore.testing.chaos.targets import FaultError, Target, resolved
from kvstore.testing.chaos.traffic import TrafficSpec, WatchPlan, client_plans, watch_plans
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.perform import perform
from kvstore.testing.history.records import (
    DeleteRange,
    DigestRecord,
    FaultRecord,
    LeaderRecord,
    Note,
    Ok,
    Put,
    Range,
    Request,
)

REQUEST_SECONDS = 3.0
OBSERVE_SECONDS = 0.2
SETTLE_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class ChaosSpec:
    """What a run is made of."""

    seed: int
    duration_seconds: float
    faults: Sequence[str] = KINDS
    traffic: TrafficSpec = field(default_factory=TrafficSpec)
    pause_seconds: float = 1.0
    """About how long nothing is wrong between two faults."""
    longest_seconds: float = 4.0
    """How long a fault lasts at most."""


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """What was seen beside the history itself."""

    violations: list[Violation]
    """Found while running: members that do not come back, watchers that do not arrive, hashes that differ."""
    steps_done: int
    watch_sessions: int
    counts: Mapping[str, int]
    """ok, failed, unknown."""


class ChaosRun:
    """One run against one target; `run` once.

    Args:
        spec: what to do.
        target: to whom.
        history: where all is recorded.
        say: told what begins and ends, one line each.
        is_shared: the cluster may hold something already, and others may use it meanwhile.
    """

    def __init__(
        self,
        spec: ChaosSpec,
        target: Target,
        history: History,
        clock: Clock,
        say: Callable[[str], None],
        is_shared: bool = False,
    ) -> None:
        self._is_shared = is_shared
        self.spec, self._target, self._history = spec, target, history
        self._clock, self._say = clock, say
        self._rng = random.Random(spec.seed)
        # Drawn in a fixed order, so that options of one part do not change the others.
        schedule_rng, traffic_rng, self._guard_rng = (
            random.Random(self._rng.getrandbits(64)) for _ in range(3)
        )
        self._members = sorted(target.endpoints)
        self.steps = nemesis.schedule(
            schedule_rng,
            self._members,
            spec.duration_seconds,
            kinds=spec.faults,
            pause_seconds=spec.pause_seconds,
            longest_seconds=spec.longest_seconds,
        )
        self._clients = client_plans(traffic_rng, spec.traffic)
        self._watchers = watch_plans(traffic_rng, spec.traffic)
        self._tasks = Supervisor("chaos")
        self._opened: list[Client] = []
        self._stop = asyncio.Event()
        self._over = False
        self._violations: list[Violation] = []
        self._started_at = 0.0

    def ask_stop(self) -> None:
        """End the traffic now; heal and verdict follow."""
        self._stop.set()

    async def run(self) -> ChaosResult:
        """The whole run. The history stays open for the caller to close. Raises ClientError if it cannot begin."""
        self._started_at = self._clock.monotonic()
        outsiders: Outsiders | None = None
        if self._is_shared:
            prefix = self.spec.traffic.prefix
            outsiders = Outsiders(self._open(0), prefix, self._history, self._clock)
            await outsiders.start()
            self._started_at = self._clock.monotonic()
        first = 1 if outsiders is None else outsiders.revision + 1
        resources = FencedResources(self._guard_rng, self._clock)
        drivers = [
            ClientDriver(plan, self._open(at), self._history, resources, self._clock)
            for at, plan in enumerate(self._clients)
        ]
        watchers = [
            WatchDriver(plan, self._open(at), self._history, self._clock, first)
            for at, plan in enumerate(self._watchers)
        ]
        done = 0
        try:
            running = [
                self._tasks.start(driver.run(lambda: self._over), driver.plan.name)
                for driver in drivers
            ]
            for watcher in watchers:
                self._tasks.start(watcher.run(), watcher.plan.name)
            self._tasks.start(self._observe(self._open(0)), "observe")
            if outsiders is not None:
                self._tasks.start(outsiders.run(), "outsiders")
            done = await self._carry_out()
            self._over = True
            self._say("heal")
            await self._heal()
            await asyncio.wait(running, timeout=4 * REQUEST_SECONDS)
            await self._settle(watchers, outsiders)
        finally:
            self._over = True
            await self._tasks.stop()
            for client in self._opened:
                await client.close()
        counts = {
            key: sum(driver.counts[key] for driver in drivers)
            for key in ("ok", "failed", "unknown")
        }
        sessions = sum(watcher.sessions for watcher in watchers)
        return ChaosResult(self._violations, done, sessions, counts)

    def _open(self, first: int) -> Client:
        """A client of all members that asks member number `first` first."""
        urls = [self._target.endpoints[name] for name in self._members]
        at = first % len(urls)
        client = Client(
            [*urls[at:], *urls[:at]], tls=self._target.tls, timeout_seconds=REQUEST_SECONDS
        )
        self._opened.append(client)
        return client

    # The schedule

    async def _carry_out(self) -> int:
        """Every step at its time; how many were done."""
        over = self._tasks.start(self._stop.wait(), "stop")
        failure = self._tasks.start(self._tasks_failed(), "failure")
        steps = [self._tasks.start(self._step(step), "step") for step in self.steps]
        ends = self._tasks.start(self._sleep_until(self.spec.duration_seconds), "end")
        await asyncio.wait({over, ends, failure}, return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()
        done = 0
        for task in steps:
            done += task.done() and not task.cancelled()
            task.cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        ends.cancel()
        failure.cancel()
        over.cancel()
        return done

    async def _tasks_failed(self) -> None:
        await self._tasks.wait()

    async def _sleep_until(self, seconds: float) -> None:
        await self._clock.sleep(self._started_at + seconds - self._clock.monotonic())

    async def _step(self, step: Step) -> None:
        await self._sleep_until(step.at_seconds)
        kind = nemesis.kind_of(step.fault)
        try:
            fault = await resolved(step.fault, self._target)
            await self._target.begin(fault)
        except FaultError as error:
            self._note(f"{nemesis.describe(step.fault)}: not done: {error}")
            return
        text, targets = nemesis.describe(fault), nemesis.targets_of(fault)
        self._say(text)
        self._history.append(FaultRecord(self._clock.monotonic(), kind, targets, True, text))
        try:
            await self._clock.sleep(step.for_seconds)
            await self._target.end(fault)
            if isinstance(fault, nemesis.Disk) and fault.disk.full:
                await self._disarm()
        except FaultError as error:
            self._note(f"{text}: not undone: {error}")
        finally:
            self._history.append(FaultRecord(self._clock.monotonic(), kind, targets, False, text))

    def _note(self, text: str) -> None:
        self._say(text)
        self._history.append(Note(self._clock.monotonic(), text))

    # Who leads

    async def _observe(self, client: Client) -> None:
        """Record every leader that says so itself, with its term."""
        known: dict[str, int] = {}
        while True:
            await asyncio.gather(*(self._look(client, name, known) for name in self._members))
            await self._clock.sleep(OBSERVE_SECONDS)

    async def _look(self, client: Client, name: str, known: dict[str, int]) -> None:
        try:
            async with asyncio.timeout(0.5):
                status = await client.status(self._target.endpoints[name])
        except (ClientError, TimeoutError):
            return
        now, term = self._clock.monotonic(), status.raft_term
        if status.is_leader and known.get(name) != term:
            known[name] = term
            self._history.append(LeaderRecord(now, name, term))
        elif not status.is_leader and name in known:
            self._history.append(LeaderRecord(now, name, known.pop(name), False))

    # The end

    async def _disarm(self) -> None:
        """A full disk raises the alarm that stops writes; once there is room, the operator takes it back."""
        client = self._open(0)
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while self._clock.monotonic() < deadline:
            with contextlib.suppress(ClientError):
                await client.alarm_disarm()
                return
            await self._clock.sleep(0.2)

    async def _heal(self) -> None:
        try:
            await self._target.heal()
            await self._disarm()
        except FaultError as error:
            self._violate("recovers", f"the cluster could not be healed: {error}")

    async def _settle(self, watchers: Sequence[WatchDriver], outsiders: Outsiders | None) -> None:
        """Every watcher arrives, every member answers and has the same hash."""
        client = self._open(0)
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        if not await self._insist(client, Range(self.spec.traffic.prefix), deadline):
            self._violate(
                "recovers", f"no answer within {SETTLE_SECONDS:g} s after all faults were healed"
            )
            return
        for watcher in watchers:
            wanted = await self._mark(client, watcher.plan, deadline)
            while watcher.next_revision <= wanted and self._clock.monotonic() < deadline:
                await self._clock.sleep(0.02)
            if watcher.next_revision <= wanted:
                self._violate(
                    "watch",
                    f"{watcher.plan.name} did not arrive at revision {wanted}: it is at "
                    f"{watcher.next_revision - 1}",
                )
        revision = await self._read_all(client, deadline)
        while outsiders is not None and outsiders.revision < revision:
            if self._clock.monotonic() > deadline:
                self._violate("watch", f"others are seen only up to {outsiders.revision}")
                return
            await self._clock.sleep(0.02)

    async def _mark(self, client: Client, plan: WatchPlan, deadline: float) -> int:
        """Change something that the watcher must see; the revision it must reach."""
        key = plan.key + b"~end" if plan.range_end else plan.key
        put = await self._insist(client, Put(key, b"end of " + plan.name.encode()), deadline)
        if plan.no_delete:
            return put
        return await self._insist(client, DeleteRange(key), deadline)

    async def _read_all(self, client: Client, deadline: float) -> int:
        """The state as every member shows it, and its hash at one revision, which is returned."""
        prefix = self.spec.traffic.prefix
        end = prefix[:-1] + bytes([prefix[-1] + 1])
        revision = 0
        for at, _ in enumerate(self._members):
            found = await self._insist(self._open(at), Range(prefix, end), deadline)
            revision = max(revision, found)
        hashes: dict[str, tuple[int, int]] = {}
        while self._clock.monotonic() < deadline:
            for name in self._members:
                with contextlib.suppress(ClientError):
                    found_hash = await client.hash_kv(
                        self._target.endpoints[name], revision=revision
                    )
                    hashes[name] = (found_hash.hash, found_hash.compact_revision)
            if len(hashes) == len(self._members) and len(set(hashes.values())) == 1:
                break
            await self._clock.sleep(0.1)
        now = self._clock.monotonic()
        for name, (value, compacted) in hashes.items():
            self._history.append(DigestRecord(now, name, revision, value, compacted))
        for name in self._members:
            if name not in hashes:
                self._violate("recovers", f"{name} gave no hash at revision {revision}")
        if len({value for value, _ in hashes.values()}) > 1:
            self._violate("digest", f"members differ at revision {revision}: {hashes}")
        return revision

    async def _insist(self, client: Client, request: Request, deadline: float) -> int:
        """Carry out and record until it is done; its revision, 0 if it never was."""
        while self._clock.monotonic() < deadline:
            pending = self._history.begin("chaos", request, self._clock.monotonic())
            outcome = await perform(client, request)
            self._history.end(pending, self._clock.monotonic(), outcome)
            if isinstance(outcome, Ok):
                return outcome.revision
            await self._clock.sleep(0.1)
        return 0

    def _violate(self, name: str, message: str) -> None:
        self._say(f"VIOLATION {name}: {message}")
        self._violations.append(Violation(name, message, (), self._clock.monotonic()))
