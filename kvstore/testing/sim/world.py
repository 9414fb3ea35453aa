"""A simulated world: members, clients, watchers, faults and time, all from one seed, in one thread.

    world = World(make_plan(7))
    report = world.run()
    report.violations, report.trace_hash

Every source of chance is a generator of its own, seeded by the plan's seed and a name, so that taking a fault away
leaves the others' dice as they were. The trace - messages, file operations, applied entries, faults, what clients asked
and were told - is hashed as it comes; the same plan gives the same hash, in every process.
"""

import asyncio
import contextvars
import gc
import hashlib
import itertools
import logging
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from msgspec.structs import replace

from kvstore.machine.machine import StateMachine
from kvstore.raft.configuration import Configuration
from kvstore.raft.pysync import leading
from kvstore.raft.replicator import MemberId
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import (
    DigestRecord,
    FaultRecord,
    LeaderRecord,
    MemberRecord,
    Outcome,
    Range,
    Request,
    WatchRecord,
    WatchResponse,
)
from kvstore.testing.sim.admin import Admin
from kvstore.testing.sim.client import connect
from kvstore.testing.sim.faults import Nemesis
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.loop import SimLoop, current_process
from kvstore.testing.sim.member import member_name
from kvstore.testing.sim.network import SimNetwork
from kvstore.testing.sim.oracle import Oracle
from kvstore.testing.sim.rpc import RpcWorld
from kvstore.testing.sim.schedule import Fault, Plan
from kvstore.testing.sim.traffic import PREFIX, PREFIX_END, TrafficClient
from kvstore.testing.sim.watch import ClientWatcher, RawWatcher, SimWatcher

SETTLE_SECONDS = 60.0
"""How long a healed cluster may take to come together."""
DRAIN_SECONDS = 40.0
"""How long watchers may take to see all that happened."""
_DIGEST_EVERY = 16
_LINES = 1000
"""Lines of the trace that are hashed at once."""


@dataclass(slots=True)
class RunReport:
    """What came of a run."""

    plan: Plan
    violations: list[Violation]
    trace_hash: str
    virtual_seconds: float
    history: History
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Applied:
    checksum: int
    revision: int
    digest: int | None
    member: str


class World:
    """Everything in one simulation; `run` once."""

    def __init__(
        self,
        plan: Plan,
        *,
        trace: Callable[[str], None] | None = None,
        member_class: type[SimMember] = SimMember,
        check: Callable[[History], list[Violation]] = lambda history: [],
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.plan = plan
        self.loop = SimLoop()
        self.context = contextvars.copy_context()
        self._hash = hashlib.sha256()
        self._lines: list[str] = []
        self._lines_at = -1.0
        self._write_trace = trace
        self._check, self._settle_seconds = check, settle_seconds
        self.network = SimNetwork(self.loop, self.rng("network"))
        self.rpc = RpcWorld(self.loop, self.network)
        self.rpc.on_bug = self._on_bug
        self.network.on_message = lambda source, target, size: self.trace(
            f"message {source} {target} {size}"
        )
        self.history = History(seed=plan.seed)
        self.violations: list[Violation] = []
        self.counts: dict[str, int] = dict.fromkeys(
            ("applied", "operations", "unknown", "events", "restarts", "wipes", "faults"), 0
        )
        self._applied: dict[int, _Applied] = {}
        self._leaders: dict[int, str] = {}
        self._votes: dict[tuple[str, int], str] = {}
        self._oracle = Oracle()
        self._job_rng = self.rng("jobs")
        self.loop.job_starts_after = self._job_waits
        self.size = plan.members + plan.spares
        self.members = [member_class(self, number) for number in range(1, self.size + 1)]
        self.loop.job_took = self._job_took
        self.nemesis = Nemesis(self)
        self.clients: list[TrafficClient] = []
        self.watchers: list[SimWatcher] = []
        self._running: list[asyncio.Task[None]] = []
        self._is_over = False
        self._configurations: dict[int, tuple[str, bytes]] = {}
        self.admin = Admin(self, self.rng("admin"), plan.change_seconds)

    def rng(self, name: str) -> random.Random:
        """A generator of chance for `name`."""
        return random.Random(f"{self.plan.seed}/{name}")

    def trace(self, text: str) -> None:
        """Note that something happened now."""
        if self._is_over:
            # Coroutines that are thrown away still run their `finally`.
            return
        now = self.loop.now
        if now != self._lines_at:
            # Many things happen in an instant: its time stands before the first of them.
            self._lines_at = now
            self._lines.append(f"{now:.9f}")
        self._lines.append(text)
        if len(self._lines) > _LINES:
            self._hash_lines()
        if self._write_trace is not None:
            self._write_trace(f"{now:.9f} {text}\n")

    def _hash_lines(self) -> None:
        self._hash.update("\n".join(self._lines).encode())
        self._lines.clear()

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Call from outside of all processes, which may be dead by then."""
        self.loop.call_later(seconds, call, *args, context=self.context)

    def violate(self, name: str, message: str) -> None:
        """A promise was broken."""
        if len(self.violations) < 20:
            self.trace(f"violation {name} {message}")
            self.violations.append(Violation(name, message, (), self.loop.time()))

    def _on_bug(self, path: str, error: BaseException) -> None:
        self.violate("no-internal-errors", f"{path} raised {error!r}")

    def _job_waits(self) -> float:
        """A slow disk also begins late: what is not written when the power goes is lost."""
        process = current_process()
        slow = next((one.disk.slow_seconds for one in self.members if one.process is process), 0.0)
        return self._job_rng.uniform(5e-5, 5e-4) + self._job_rng.uniform(0.0, slow)

    def _job_took(self) -> float:
        return sum(member.disk.take_spent() for member in self.members)

    # What members tell

    def applied(self, member: str, machine: StateMachine, index: int, commands: Any) -> None:
        """Entry `index` was applied: all who apply it must have the same, and be the same after it."""
        self.counts["applied"] += 1
        checksum = 0
        for command in commands:
            checksum = zlib.crc32(command, checksum)
        digest = state_digest(machine) if index % _DIGEST_EVERY == 0 else None
        now = _Applied(checksum, machine.revision, digest, member)
        self.trace(f"applied {member} {index} {checksum} {machine.revision} {digest}")
        first = self._applied.setdefault(index, now)
        wrong = self._oracle.learn(index, commands, machine.revision, self.loop.time())
        if wrong:
            self.violate("state", wrong)
        if (first.checksum, first.revision) != (now.checksum, now.revision):
            self.violate(
                "agreement",
                f"entry {index}: {first.member} applied {first.checksum:08x} and is at revision "
                f"{first.revision}, {member} applied {checksum:08x} and is at {now.revision}",
            )
        elif first.digest != now.digest:
            self.violate("agreement", f"after entry {index} {first.member} and {member} differ")

    def configured(self, member: str, index: int, configuration: bytes) -> None:
        """Entry `index` was applied, a configuration: all have the same, and it is one step from the last."""
        self.trace(f"configured {member} {index} {configuration.hex()}")
        first = self._configurations.setdefault(index, (member, configuration))
        if first[1] != configuration:
            self.violate("agreement", f"entry {index}: {first[0]} and {member} have other members")
        earlier = [at for at in self._configurations if at < index]
        before = {MemberId(number) for number in range(1, self.plan.members + 1)}
        if earlier:
            before = set(Configuration.of(self._configurations[max(earlier)][1]).voters)
        voters = set(Configuration.of(configuration).voters)
        if len(before ^ voters) > 1:
            self.violate("one-step", f"entry {index}: voters {before} became {voters}")

    def is_changing(self) -> bool:
        """Whether a change of the members may be under way."""
        return self.admin.is_changing()

    def leads(self, member: str, term: int) -> None:
        """`member` says that it leads in `term`."""
        self.trace(f"leads {member} {term}")
        self.history.append(LeaderRecord(self.loop.time(), member, term))
        first = self._leaders.setdefault(term, member)
        if first != member:
            self.violate("one-leader", f"term {term} is led by {first} and by {member}")

    def votes(self, member: str, term: int, candidate: str) -> None:
        """A vote of `member` left for `candidate`."""
        first = self._votes.setdefault((member, term), candidate)
        if first != candidate:
            self.violate("one-vote", f"{member} voted in term {term} for {first} and {candidate}")

    def member_changed(self, member: str, state: str) -> None:
        """A member started or ended."""
        self.trace(f"{state} {member}")
        self.history.append(MemberRecord(self.loop.time(), member, state))

    def fault(self, fault: Fault, *, is_on: bool, targets: tuple[str, ...]) -> None:
        """A fault begins or ends."""
        self.trace(f"fault {fault.kind} {' '.join(targets)} {is_on}")
        self.counts["faults"] += is_on
        self.history.append(
            FaultRecord(
                self.loop.time(), fault.kind, targets, is_on, f"{fault.where} {fault.value}"
            )
        )

    # The run

    def run(self) -> RunReport:
        """Live through the plan, heal, and judge."""
        with quiet_logs(), no_garbage_collection(), message_size(self.plan.append_bytes):
            try:
                self._live()
                if not self.violations:
                    self._settle()
                if not self.violations:
                    self._look_back()
            finally:
                self.history.close(self.loop.time())
                seconds = self.loop.time()
                self._hash_lines()
                self._is_over = True
                self.loop.dispose()
        return RunReport(
            self.plan,
            self.violations,
            self._hash.hexdigest(),
            seconds,
            self.history,
            dict(self.counts),
        )

    def _live(self) -> None:
        for member in self.members:
            member.start()
        self.loop.run_until_time(2.0)
        self._start_clients()
        self.nemesis.schedule(self.plan.faults)
        self.loop.run_until_time(self.plan.seconds, self._is_lost)
        self._notice_errors()

    def _is_lost(self) -> bool:
        return bool(self.violations) or bool(self.loop.errors)

    def _notice_errors(self) -> None:
        for error in self.loop.errors[:3]:
            self.violate("no-internal-errors", f"a callback raised {error!r}")

    def _start_clients(self) -> None:
        asyncio.events._set_running_loop(self.loop)
        try:
            for number in range(1, self.plan.clients + 1):
                self._start_client(f"c{number}", number, self.plan)
            for number in range(1, self.plan.watchers + 1):
                self._start_watcher(f"w{number}", number)
            if self.plan.change_seconds:
                self._running.append(self.loop.create_task(self.admin.run(), name="admin"))
        finally:
            asyncio.events._set_running_loop(None)

    def _start_client(self, name: str, number: int, plan: Plan) -> None:
        rng = self.rng(name)
        one = TrafficClient(
            name,
            connect(self.rpc, name, self.size, number, rng),
            plan,
            rng,
            self.history,
            self.loop.time,
            self._on_outcome,
        )
        self._running.insert(len(self.clients), self.loop.create_task(one.run(), name=name))
        self.clients.append(one)

    def visit(
        self, member: SimMember, count: int, traffic: tuple[str, ...] = ()
    ) -> list[TrafficClient]:
        """More clients, which ask `member` first; all do what the others do, or `traffic`."""
        known = len(self.clients)
        plan = replace(self.plan, traffic=traffic) if traffic else self.plan
        for number in range(known, known + count):
            self._start_client(f"v{number}", member.number - 1, plan)
        return self.clients[known:]

    def _start_watcher(self, name: str, number: int) -> None:
        rng = self.rng(name)
        common = (name, rng, self.history, self.loop.time, self._on_response)
        one: SimWatcher
        if number % 3 == 2:
            client = connect(self.rpc, name, self.size, number, rng)
            one = ClientWatcher(*common, client=client)
        else:
            one = RawWatcher(
                *common,
                rpc=self.rpc,
                members=[member.name for member in self.members],
                running=lambda: [member.name for member in self.members if member.is_in],
            )
        self.watchers.append(one)
        self._running.append(self.loop.create_task(one.run(), name=name))

    def _on_outcome(self, client: str, request: Request, outcome: Outcome) -> None:
        kind = type(outcome).__name__
        self.counts["operations"] += 1
        self.counts["unknown"] += kind == "Unknown"
        revision = getattr(outcome, "revision", 0)
        error = getattr(outcome, "error", "")
        self.trace(f"outcome {client} {type(request).__name__} {kind} {revision} {error}")

    def _on_response(self, watcher: str, response: WatchResponse) -> None:
        self.counts["events"] += len(response.events)
        self.trace(
            f"watch {watcher} {response.kind} {response.revision} {len(response.events)}"
            f" {response.reason}"
        )

    def _settle(self) -> None:
        """Heal everything; the cluster must come together, answer, and hold what it acknowledged."""
        self.nemesis.heal()
        for client in self.clients:
            client.is_over = True
        self.admin.is_over = True
        deadline = self.loop.time() + self._settle_seconds
        while not self._is_together():
            if self.loop.time() >= deadline or self._is_lost():
                break
            self.loop.run_until_time(self.loop.time() + 0.25, self._is_lost)
        self._notice_errors()
        if not self.violations and not self._is_together():
            states = "; ".join(member.describe() for member in self.members)
            healed = f"healed for {self._settle_seconds:g} s"
            self.violate("liveness", f"{healed} and not together: {states}")

    def _is_together(self) -> bool:
        if self.plan.spares:
            self.admin.start_members()
            self.admin.retire_the_forgotten()
        statuses = [member.status() for member in self.members if member.is_in]
        known = [status for status in statuses if status is not None]
        if len(known) < len(statuses) or any(task for task in self._busy_clients()):
            return False
        if not self._is_as_configured():
            return False
        leaders = {status.leader_id for status in known}
        return len(leaders) == 1 and 0 not in leaders and len({s.applied_index for s in known}) == 1

    def _is_as_configured(self) -> bool:
        """Whether those that run are the members that are left."""
        newest = self.admin.newest()
        if newest is None:
            return False
        running = {MemberId(member.number) for member in self.members if member.is_in}
        lost = {MemberId(member.number) for member in self.members if member.is_lost}
        return {seat.id for seat in newest} - lost == running

    def _busy_clients(self) -> list[asyncio.Task[None]]:
        return [task for task in self._running[: len(self.clients)] if not task.done()]

    def _look_back(self) -> None:
        """Read everything through every member, let watchers see the end, compare, and check the history."""
        self._run_tasks(
            [self._final_read(member.number) for member in self.members if member.is_in]
        )
        final = max((member.revision() for member in self.members), default=0)
        for watcher in self.watchers:
            watcher.is_hasty = True
        deadline = self.loop.time() + DRAIN_SECONDS
        while self.loop.time() < deadline and not self._is_lost():
            if all(watcher.next_revision > final for watcher in self.watchers):
                break
            self.loop.run_until_time(self.loop.time() + 0.5, self._is_lost)
        else:
            for watcher in self.watchers:
                if watcher.next_revision <= final:
                    self.violate(
                        "watch-liveness",
                        f"{watcher.name} stands at {watcher.next_revision}, the store at {final}",
                    )
        self._notice_errors()
        for task in self._running:
            if task.done() and not task.cancelled() and task.exception() is not None:
                self.violate("no-internal-errors", f"{task.get_name()}: {task.exception()!r}")
        self._compare_members()
        self._tell_agreed()
        self.history.close(self.loop.time())
        self.violations.extend(self._oracle.check(self.history)[:20])
        self.violations.extend(self._check(self.history)[:20])

    def _tell_agreed(self) -> None:
        """Show the checkers the agreed log as one more watcher saw it: they need not guess who wrote what, and when.

        What clients were told must fit it all the same, and what does not is looked at without it, too.
        """
        now, session = self.loop.now, self.history.next_id()
        self.history.append(WatchRecord(session, "agreed", now, b"\0", b"\0", 1, True))
        self.history.append(WatchResponse(session, now, "created", 1))
        for revision, events in self._oracle.events:
            self.history.append(WatchResponse(session, now, "events", revision, events))

    def _compare_members(self) -> None:
        found: dict[tuple[int, int], tuple[str, int]] = {}
        for member in self.members:
            machine = member.machine()
            if machine is None:
                continue
            try:
                machine.check_invariants()
            except AssertionError as error:
                self.violate("invariants", f"{member.name}: {error}")
            digest, compacted = machine.digest(0)
            key = (machine.revision, compacted)
            first = found.setdefault(key, (member.name, digest))
            self.history.append(
                DigestRecord(self.loop.time(), member.name, key[0], digest, compacted)
            )
            if first[1] != digest:
                self.violate("digest", f"{first[0]} and {member.name} differ at revision {key[0]}")

    async def _final_read(self, number: int) -> None:
        name = f"final-{member_name(number)}"
        client = TrafficClient(
            name,
            connect(self.rpc, name, self.size, number - 1, self.rng(name)),
            self.plan,
            self.rng(name),
            self.history,
            self.loop.time,
            self._on_outcome,
        )
        await client.do(Range(PREFIX, PREFIX_END))

    def _run_tasks(self, coros: list[Any]) -> None:
        asyncio.events._set_running_loop(self.loop)
        tasks = [self.loop.create_task(coro) for coro in coros]
        asyncio.events._set_running_loop(None)
        for _ in itertools.repeat(None, 200):
            if all(task.done() for task in tasks):
                break
            self.loop.run_until_time(self.loop.time() + 0.1, self._is_lost)


def state_digest(machine: StateMachine) -> int:
    """A checksum of all that must be equal on members that applied the same."""
    keys, compacted = machine.digest(0)
    leases = [
        (lease.id, lease.ttl, lease.remaining, lease.keys)
        for lease in sorted(machine.lessor.leases.values(), key=lambda one: one.id)
    ]
    auth = machine.auth.state()
    rest = repr((compacted, machine.revision, leases, sorted(machine.alarms), auth))
    return zlib.crc32(rest.encode(), keys)


@contextmanager
def message_size(limit: int) -> Iterator[None]:
    """Divide what a follower is sent into messages of so many bytes of entries, as large values do."""
    before = leading.APPEND_BYTES
    leading.APPEND_BYTES = limit
    try:
        yield
    finally:
        leading.APPEND_BYTES = before


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A run is short: what it leaves in cycles is collected once, at its end, and never at some moment within."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep the members from logging: what matters is in the trace."""
    before, level = structlog.get_config(), logging.root.manager.disable
    logging.disable()
    structlog.configure(
        processors=[],
        wrapper_class=structlog.make_filtering_bound_logger(50),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(level)
