"""The machine under a member: its disk and clock, its process, and who starts it again.

A member that ends by itself - a failed fsync, a full disk, damage - is started again after a moment, as a supervisor
does. One whose data is damaged is emptied first, as its error message tells the operator to, but only while no
other member is still being filled: more loss than the minority holds is not what replication survives.
"""

import errno
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kvstore.machine.machine import StateMachine
from kvstore.raft.configuration import Configuration
from kvstore.raft.pysync.messages import KIND, Message, RequestVote, Vote
from kvstore.raft.replicator import DamagedData, MemberId, RaftSettings, RaftStatus, Removed
from kvstore.testing.sim.disk import SimDisk, SimFiles
from kvstore.testing.sim.loop import Killed, Process, SimLoop
from kvstore.testing.sim.member import (
    PEER_PORT,
    BootedMember,
    SimClock,
    WatchedMachine,
    member_name,
    pysync_replicator,
)
from kvstore.testing.sim.network import SimNetwork
from kvstore.testing.sim.rpc import RpcWorld, ServedMember
from kvstore.testing.sim.schedule import Plan
from kvstore.wire.engine import Handlers

RESTART_SECONDS = 0.7
COPIED = frozenset(
    ("append_entries", "next_node_idx", "request_vote", "response_vote", "snapshot", "snapshot_ack")
)
"""Messages that may arrive twice: Raft's own, which the guards look at."""


class Surroundings(Protocol):
    """What a machine and its member ask of the world they are in, and tell it."""

    plan: Plan
    loop: SimLoop
    network: SimNetwork
    rpc: RpcWorld
    counts: dict[str, int]

    @property
    def members(self) -> "Sequence[SimMember]":
        """All of them, this one included."""
        ...

    def rng(self, name: str) -> random.Random:
        """A generator of chance for `name`."""
        ...

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Call from outside of all processes."""
        ...

    def trace(self, text: str) -> None:
        """Note that something happened now."""
        ...

    def violate(self, name: str, message: str) -> None:
        """A promise was broken."""
        ...

    def applied(self, member: str, machine: StateMachine, index: int, commands: Any) -> None:
        """Entry `index` was applied."""
        ...

    def configured(self, member: str, index: int, configuration: bytes) -> None:
        """Entry `index`, a configuration, was applied."""
        ...

    def is_changing(self) -> bool:
        """Whether a change of the members may be under way."""
        ...

    def leads(self, member: str, term: int) -> None:
        """`member` says that it leads in `term`."""
        ...

    def votes(self, member: str, term: int, candidate: str) -> None:
        """A vote of `member` left for `candidate`."""
        ...

    def member_changed(self, member: str, state: str) -> None:
        """A member started or ended."""
        ...


class SimMember:
    """One member over all its boots."""

    def __init__(self, world: Surroundings, number: int) -> None:
        self.world, self.number, self.name = world, number, member_name(number)
        self.disk = SimDisk(world.rng(f"disk/{self.name}"))
        self.disk.on_operation = lambda operation, name: world.trace(
            f"file {self.name} {operation} {name}"
        )
        self.disk.on_crash = self._crash
        self.clock = SimClock(world.loop)
        self.process: Process | None = None
        self.booted: BootedMember | None = None
        self.boots = 0
        self.is_amnesic = False
        """Emptied, and not known to hold everything again."""
        self.crash_is_power_loss = False
        self.crash_lasts = RESTART_SECONDS
        self.late_copies = 0.0
        """How likely a message arrives twice."""
        self.copied = ""
        """Which type of message that is; empty = all of `COPIED`."""
        self.dies_at_message = ""
        self.on_message_sent: Callable[[], None] = lambda: None
        self.is_damaged = False
        """A bit was flipped, and no start has shown that it does not matter."""
        self._must_wipe = False
        self._start_due = False
        self.is_spare = number > world.plan.members
        """Not started yet; it may join."""
        self.is_joiner = self.is_spare
        """It was no member at first; or its operator says that the cluster is there, as its disk is lost."""
        self.is_lost = False
        """The machine is gone for good."""
        self.is_removed = False
        """It was told that it is no member any more."""
        self._came_emptied: bool | None = False
        """A joiner counted already when it was started with this disk; None = it has to ask when it starts."""
        self._left_with: list[Configuration] = []
        """The configurations that it knew when it ended."""

    # Life

    @property
    def must_ask(self) -> bool:
        """Whether it has to be told by the others who it is before it can start, as its disk is empty or damaged."""
        return self._came_emptied is None or self._must_wipe

    @property
    def is_in(self) -> bool:
        """Whether the cluster may count on it, as far as is known."""
        return not (self.is_spare or self.is_lost or self.is_removed)

    def core(self) -> Any:
        """The core of its replication, None if it is not up."""
        if self.booted is None or self.name not in self.world.rpc.served:
            return None
        return self.booted.replicator._core  # type: ignore[attr-defined]

    def join(self) -> None:
        """It was made a member: start it."""
        self.is_spare = False
        self.start()

    def lose(self) -> None:
        """The machine burns."""
        self.world.trace(f"lost {self.name}")
        self.is_lost = True
        self.kill(is_power_loss=True, lasts=0.0)

    def start(self) -> None:
        """Boot, if not running."""
        self._start_due = False
        if self.process is not None or not self.is_in:
            return
        if self._must_wipe and not self.wipe():
            self._start_later(1.0)
            return
        self._must_wipe = False
        if self._came_emptied is None and not self._ask_members():
            self._start_later(1.0)
            return
        self.world.network.powered_on(self.name)
        self.boots += 1
        self.world.counts["restarts"] += self.boots > 1
        self.world.member_changed(self.name, "started")
        process = self.process = Process(self.name)
        process.on_steps_over = lambda: self.kill(
            is_power_loss=self.crash_is_power_loss, lasts=self.crash_lasts
        )
        try:
            self.booted = process.context.run(self._build, process)
        except Killed:
            return
        self.world.loop.spawn(process, self._main(process, self.booted), self.name)

    def _ask_members(self) -> bool:
        """Whether somebody could say if this one counts, as its program asks when its directory is empty."""
        running = [one for one in self.world.members if one.core() is not None]
        for one in running:
            counts = [
                counts
                for member, _, counts in one.booted.replicator.members()  # type: ignore[union-attr]
                if member == self.number
            ]
            if counts:
                self._came_emptied = counts[0]
                return True
        return False

    def _start_later(self, seconds: float) -> None:
        if not self._start_due:
            self._start_due = True
            self.world.later(seconds, self.start)

    def _build(self, process: Process) -> BootedMember:
        world = self.world
        rng = world.rng(f"{self.name}/{self.boots}")
        settings = world.plan.settings()
        files = SimFiles(self.disk, world.rng(f"files/{self.name}/{self.boots}"), process.dead)
        machine = WatchedMachine(self.name, world)
        replicator = self.make_replicator(machine, rng, files)
        member = BootedMember(
            self.number, settings, replicator, machine, self.clock, rng, world.rpc
        )
        replicator.on_leadership(self._on_leadership)
        return member

    def make_replicator(self, machine: StateMachine, rng: Any, files: SimFiles) -> Any:
        """The replication under test."""
        settings = self.world.plan.settings()
        replicator = pysync_replicator(
            self.raft_settings(), machine, self.clock, rng, files, settings.segment_bytes
        )
        self._watch_votes(replicator)
        self._copy_messages(replicator)
        return replicator

    def _copy_messages(self, replicator: Any) -> None:
        received = replicator.received
        rng = self.world.rng(f"copies/{self.name}/{self.boots}")

        def copying(member: MemberId, message: Message) -> None:
            received(member, message)
            if self.late_copies and self._may_copy(message) and rng.random() < self.late_copies:
                self.world.loop.call_later(rng.uniform(0.0, 3.0), received, member, message)

        replicator.received = copying

    def _may_copy(self, message: Message) -> bool:
        kind = KIND[type(message)]
        return kind == self.copied if self.copied else kind in COPIED

    def _watch_votes(self, replicator: Any) -> None:
        """Note whom each vote that leaves is for: one a term, whatever happens in between."""
        send = replicator.send

        def watched(member: MemberId, message: Message) -> bool:
            if isinstance(message, Vote):
                self.world.votes(self.name, message.term, member_name(member))
            elif isinstance(message, RequestVote):
                self.world.votes(self.name, message.term, self.name)
            taken = bool(send(member, message))
            if KIND[type(message)] == self.dies_at_message:
                self.dies_at_message = ""
                self.world.later(0.0, self.on_message_sent)
            return taken

        replicator.send = watched

    def raft_settings(self) -> RaftSettings:
        """What replication is told."""
        settings = self.world.plan.settings()
        count = settings.size + (settings.spares if self.is_joiner else 0)
        peers = {
            MemberId(number): (member_name(number), PEER_PORT) for number in range(1, count + 1)
        }
        return RaftSettings(
            member_id=MemberId(self.number),
            peers=peers,
            data_dir=self.disk.root,
            heartbeat_interval_seconds=settings.heartbeat_seconds,
            election_timeout_seconds=settings.election_seconds,
            snapshot_count=settings.snapshot_count,
            voters=() if self.is_joiner else None,
            is_emptied=bool(self._came_emptied),
            peer_urls={one: (f"http://{member_name(one)}:2380",) for one in peers},
            address_of=lambda url: (url.split("/")[2].partition(":")[0], PEER_PORT),
        )

    def _on_leadership(self, is_leader: bool) -> None:
        if is_leader and self.booted is not None:
            self.world.leads(self.name, self.booted.replicator.status().term)

    async def _main(self, process: Process, member: BootedMember) -> None:
        def serve(handlers: Handlers) -> None:
            self.world.rpc.served[self.name] = ServedMember(process, handlers)
            self.world.trace(f"serves {self.name}")
            self.is_damaged = False

        try:
            await member.run(serve)
        except DamagedData as error:
            self.world.trace(f"damaged {self.name} {error.offset}")
            if not self.is_damaged:
                self.world.violate("crash-safety", f"{self.name}, with no bit flipped: {error}")
            self._must_wipe = True
            self._end(process, is_power_loss=False, lasts=RESTART_SECONDS)
        except Removed:
            self.world.trace(f"removed {self.name}")
            self.is_removed = True
            self._end(process, is_power_loss=False, lasts=RESTART_SECONDS)
        except OSError as error:
            self.world.trace(f"failed {self.name} {error.errno}")
            if error.errno not in (errno.EIO, errno.ENOSPC):
                self.world.violate("no-internal-errors", f"{self.name} stopped: {error!r}")
            self._end(process, is_power_loss=False, lasts=RESTART_SECONDS)
        except Exception as error:
            self.world.violate("no-internal-errors", f"{self.name} stopped: {error!r}")
            self._end(process, is_power_loss=False, lasts=RESTART_SECONDS)

    def _crash(self) -> None:
        self.kill(is_power_loss=self.crash_is_power_loss, lasts=self.crash_lasts)

    def kill(self, *, is_power_loss: bool, lasts: float) -> None:
        """End the process now; start it again after `lasts` seconds."""
        if self.process is not None:
            self.world.member_changed(self.name, "lost power" if is_power_loss else "killed")
            self._end(self.process, is_power_loss=is_power_loss, lasts=lasts)
        elif is_power_loss:
            self.disk.lose_power()

    def _end(self, process: Process, *, is_power_loss: bool, lasts: float) -> None:
        self.note_caught_up()
        self._left_with = self.configurations()
        process.is_dead = True
        process.is_paused = False
        process.parked.clear()
        self.process = self.booted = None
        self.disk.crash_after = None
        world = self.world
        world.rpc.served.pop(self.name, None)
        world.network.drop_process(process, silently=is_power_loss)
        world.rpc.drop(process, silently=is_power_loss)
        if is_power_loss:
            world.network.dark[self.name] = None
            self.disk.lose_power()
        self._start_later(lasts)

    # Pauses, damage

    def pause(self) -> Process | None:
        """Stop the process as SIGSTOP does."""
        if self.process is not None:
            self.process.is_paused = True
        return self.process

    def resume(self, process: Process | None) -> None:
        """Let that very process go on."""
        if process is not None and process is self.process and process.is_paused:
            self.world.loop.resume(process)

    def may_lose_data(self) -> bool:
        """Whether the cluster survives the loss of this disk."""
        for member in self.world.members:
            member.note_caught_up()
        if self.world.plan.spares:
            return self._may_lose_data_while_members_change()
        others = [
            member
            for member in self.world.members
            if (member.is_amnesic or member.is_damaged) and member is not self
        ]
        return len(others) + 1 <= (len(self.world.members) - 1) // 2

    @property
    def is_whole(self) -> bool:
        """Whether it holds, or may hold, what it promised."""
        return self.is_in and not (self.is_amnesic or self.is_damaged)

    def configurations(self) -> list[Configuration]:
        """What it has in force and has applied; what it had, if it does not run."""
        core = self.core()
        return (
            self._left_with if core is None else [core.membership.latest, core.membership.applied]
        )

    def _may_lose_data_while_members_change(self) -> bool:
        """Also if another voter goes before this one is back, as long as a change may be under way."""
        spared = 1 if self.world.is_changing() else 0
        whole = {MemberId(member.number) for member in self.world.members if member.is_whole}
        own = MemberId(self.number)
        # What this one knew is lost, and who is gone for good does not count by what it knew.
        others = [one for one in self.world.members if one.is_in and one is not self]
        if any(one.voters == (own,) for one in self.configurations()):
            return False
        if not any(one.seats for member in others for one in member.configurations()):
            # Nobody else has read of any member yet.
            return False
        for member in others:
            for one in member.configurations():
                left = len(whole & {*one.voters} - {own})
                if own in one.voters and left <= len(one.voters) // 2 + spared:
                    return False
        return self.is_in

    def wipe(self) -> bool:
        """Empty the disk, if that may be."""
        if self.process is not None or not self.may_lose_data():
            return False
        self.world.trace(f"wiped {self.name}")
        self.world.counts["wipes"] += 1
        self.disk.wipe()
        self.is_amnesic, self.is_damaged = True, False
        if self.world.plan.spares:
            # By its first flags alone it would begin another cluster.
            self.is_joiner, self._came_emptied = True, None
        return True

    # What it knows

    def status(self) -> RaftStatus | None:
        """Raft's view, None if it is not up."""
        if self.booted is None or self.name not in self.world.rpc.served:
            return None
        return self.booted.replicator.status()

    def machine(self) -> StateMachine | None:
        """Its state, None if it is not up."""
        return None if self.booted is None else self.booted.machine

    def revision(self) -> int:
        """Its revision, 0 if it is not up."""
        return 0 if self.booted is None else self.booted.machine.revision

    def note_caught_up(self) -> None:
        """A member that was emptied says when it holds everything again."""
        core: Any = getattr(self.booted and self.booted.replicator, "_core", None)
        is_full = core is not None and core.journal.facts.get("caught_up") == "yes"
        if is_full and core.journal.is_vote_durable:
            self.is_amnesic = False

    def describe(self) -> str:
        """One line for a report."""
        status = self.status()
        if status is None:
            return f"{self.name} is down (boots {self.boots})"
        return (
            f"{self.name} term {status.term} leader {status.leader_id} applied "
            f"{status.applied_index} of {status.last_index}"
        )
