"""PySyncReplicator: the core on an event loop, with sockets, timers and threads.

All of Raft runs on the loop's thread. Only fsync and snapshot files go to threads, one for each, so that their order
is kept and a slow disk never stops heartbeats. A turn runs at once when something arrives, and otherwise when the
deadline the last one returned has come, so an idle member hardly wakes. Any exception out of a turn, and any failed
write, ends `run` and with it the process: state that may be half changed must not go on.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.raft.configuration import Change, Configuration
from kvstore.raft.files import Files
from kvstore.raft.pysync.core import Core
from kvstore.raft.pysync.library import check_library
from kvstore.raft.pysync.links import AllowAll, LinkFilter
from kvstore.raft.pysync.messages import Message
from kvstore.raft.pysync.state import node_name
from kvstore.raft.pysync.transport import Listening, PeerTransport, listen_on
from kvstore.raft.pysync.worker_threads import ExecutorThread, WorkerThread
from kvstore.raft.replicator import (
    Applier,
    MemberId,
    NotLeader,
    RaftSettings,
    RaftStatus,
    Stopped,
    TooManyRequests,
    TransferFailed,
)

STOP_TRANSFER_SECONDS = 1.0


class PySyncReplicator:
    """`Replicator` on PySyncObj. `link_filter` and `files` are where faults are injected."""

    def __init__(
        self,
        settings: RaftSettings,
        applier: Applier,
        clock: Clock,
        rng: random.Random,
        *,
        link_filter: LinkFilter | None = None,
        files: Files | None = None,
        thread: type[WorkerThread] | type[ExecutorThread] = WorkerThread,
        listen: Listening = listen_on,
    ) -> None:
        if settings.member_id not in settings.peers:
            raise ValueError(f"member {settings.member_id:x} is not among the peers")
        if settings.election_timeout_seconds <= 3 * settings.heartbeat_interval_seconds:
            raise ValueError("the election timeout must be more than three heartbeat intervals")
        self._settings, self._clock = settings, clock
        self._core = Core(settings, applier, clock, rng, self, files)
        self._transport = PeerTransport(
            settings, clock, rng, self, link_filter or AllowAll(), listen
        )
        self._supervisor = Supervisor(f"raft-{settings.member_id:x}")
        self._make_thread = thread
        self._threads: dict[str, WorkerThread | ExecutorThread] = {}
        self._working = 0
        self._rested = asyncio.Event()
        self._failure: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._turn_is_due = False
        self._woken_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline = 0.0
        self._started = self._stopping = self._stopped = False
        self._transfers: list[tuple[str, asyncio.Future[None]]] = []
        self._member_callbacks: list[Callable[[Configuration], None]] = []

    # Replicator

    async def start(self) -> None:
        """Load, listen, join."""
        check_library()
        self._core.load()
        self._core.membership.callbacks = self._member_callbacks
        self._failure = asyncio.get_running_loop().create_future()
        try:
            await self._transport.start(self._supervisor)
        except BaseException:
            await self._transport.stop()
            await self._supervisor.stop()
            self._core.journal.close()
            raise
        self._started = True
        self.wake()

    async def run(self) -> None:
        """Until cancelled or a failure."""
        if self._failure is None:
            raise RuntimeError("start() comes first")
        watch = self._supervisor.start(self._supervisor_failed(), "failures")
        try:
            await asyncio.shield(self._failure)
        finally:
            watch.cancel()

    async def stop(self) -> None:
        """Leave in order. Idempotent."""
        if self._stopping or not self._started:
            return
        if self._error is None:
            await self._leave_leadership()
        self._stopping = True
        await self._transport.stop()
        await self._supervisor.stop()
        while self._working:
            self._rested.clear()
            await self._rested.wait()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._error is None:
            self._core.close()
        else:
            self._core.proposals.fail_all(Stopped("this member failed"))
            self._core.reads.fail_all(Stopped("this member failed"))
            self._core.membership.fail_all(Stopped("this member failed"))
            self._core.journal.close()
        for thread in self._threads.values():
            thread.stop()

    def propose(
        self, command: bytes, timeout_seconds: float, *, only_in_term: int = 0
    ) -> Awaitable[Any]:
        """Replicate and apply `command`."""
        try:
            self._check_running()
            if len(command) > self._settings.max_pack_bytes:
                raise ValueError(
                    f"a command of {len(command)} bytes is above {self._settings.max_pack_bytes}"
                )
            deadline = self._wake_until(timeout_seconds)
            return self._core.proposals.submit(command, deadline, only_in_term)
        except (Stopped, ValueError, TooManyRequests) as error:
            return _failed(error)

    def read_index(self, timeout_seconds: float) -> Awaitable[int]:
        """An index that covers all that was acknowledged before, applied here."""
        try:
            self._check_running()
        except Stopped as error:
            return _failed(error)
        return self._core.reads.submit(self._wake_until(timeout_seconds))

    def _wake_until(self, timeout_seconds: float) -> float:
        """Have a turn soon; the deadline of a caller. Those of one iteration share one look at the clock."""
        if not self._turn_is_due:
            self.wake()
        if not self._woken_at:
            self._woken_at = self._clock.monotonic()
        deadline = self._woken_at + timeout_seconds
        self._core.expires_at(deadline)
        return deadline

    async def transfer_leadership(self, target: MemberId, timeout_seconds: float) -> None:
        """Make `target` the leader."""
        self._check_running()
        core = self._core
        if target not in core.membership.latest.voters:
            raise TransferFailed(f"{target:x} is no member that votes")
        if not core.sync.is_leader():
            raise NotLeader("this member does not lead")
        if target == self._settings.member_id:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (node_name(target), future)
        self._transfers.append(waiter)
        core.transfer.begin(target)
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            raise TransferFailed(f"{target:x} did not take over in {timeout_seconds} s") from None
        finally:
            self._transfers.remove(waiter)
            core.transfer.end()

    def change_members(self, change: Change, timeout_seconds: float) -> Awaitable[Configuration]:
        """Make one change of the members."""
        try:
            self._check_running()
        except Stopped as error:
            return _failed(error)
        return self._core.membership.submit(change, self._wake_until(timeout_seconds))

    def configuration(self) -> Configuration:
        """The members, as committed."""
        return self._core.configuration()

    def connected_since(self) -> dict[MemberId, float]:
        """Since when, by the clock's `monotonic`, there is a connection to each other member that has one."""
        return self._transport.connected_since()

    def on_members(self, callback: Callable[[Configuration], None]) -> None:
        """Call with each configuration that is committed."""
        self._member_callbacks.append(callback)

    def leadership(self) -> tuple[MemberId, int]:
        """The leader this member knows, 0 for none, and the term."""
        return self._core.leadership()

    def status(self) -> RaftStatus:
        """This member's view."""
        return self._core.status()

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call on gain and loss of leadership."""
        self._core.leadership_callbacks.append(callback)

    def on_applied(self, callback: Callable[[Sequence[Any]], None]) -> None:
        """Call with the results of each entry."""
        self._core.applied_callbacks.append(callback)

    def _check_running(self) -> None:
        if not self._started or self._stopping or self._error is not None:
            raise Stopped("this member does not run")

    async def _leave_leadership(self) -> None:
        status = self.status()
        if status.leader_id != self._settings.member_id or not status.match_index:
            return
        voters = self._core.membership.latest.voters
        matched = {one: index for one, index in status.match_index.items() if one in voters}
        if not matched:
            return
        target = max(matched, key=lambda member: (matched[member], member))
        if status.match_index[target] <= 1:
            return
        try:
            await self.transfer_leadership(target, STOP_TRANSFER_SECONDS)
        except (TransferFailed, NotLeader):
            return

    async def _supervisor_failed(self) -> None:
        try:
            await self._supervisor.wait()
        except Exception as error:
            self._fail(error)

    # Turns

    def wake(self) -> None:
        """Have a turn soon; proposals that arrive in the same loop iteration share it."""
        if not self._turn_is_due and not self._stopped:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        self._woken_at = 0.0
        if self._stopped or self._error is not None:
            return
        try:
            deadline = self._core.turn()
        except Exception as error:
            self._fail(error)
            return
        if self._transfers:
            self._end_transfers()
        self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        """Keep an earlier timer: it costs one idle turn, and most deadlines only move away."""
        if self._timer is not None:
            if self._timer_deadline <= deadline:
                return
            self._timer.cancel()
        self._timer_deadline = deadline
        loop = asyncio.get_running_loop()
        wait = max(0.001, deadline - self._clock.monotonic())
        self._timer = loop.call_at(loop.time() + wait, self._timer_fired)

    def _timer_fired(self) -> None:
        # Forgotten here, not judged by the time: uvloop counts whole milliseconds and may fire just before `when`.
        self._timer = None
        self.wake()

    def _end_transfers(self) -> None:
        leader = self._core.sync.leader_name()
        for target, future in self._transfers:
            if future.done():
                continue
            if leader == target:
                future.set_result(None)
            elif leader is not None and not self._core.sync.is_leader():
                future.set_exception(TransferFailed(f"{leader} took over instead"))

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            if self._failure is not None and not self._failure.done():
                self._failure.set_exception(error)
                # Someone may never call run(); the error is kept all the same.
                self._failure.exception()
            self._core.proposals.fail_all(Stopped("this member failed"))
            self._core.reads.fail_all(Stopped("this member failed"))
            self._core.membership.fail_all(Stopped("this member failed"))

    # Shell of the core

    def send(self, member: MemberId, message: Message) -> bool:
        """Send to a connected member."""
        return self._transport.send(member, message)

    def members_changed(self, configuration: Configuration) -> None:
        """Dial who is new at the addresses given with it, and those no more who are gone."""
        peers, settings = self._settings.peers, self._settings
        for seat in configuration:
            if seat.id not in peers and seat.peer_urls:
                peers[seat.id] = settings.address_of(seat.peer_urls[0])
        if configuration.seats:
            for member in [one for one in peers if one not in configuration]:
                if member != settings.member_id:
                    del peers[member]
        self._transport.peers_changed()

    def push(self) -> None:
        """Let what was sent leave now."""
        self._transport.push()

    def drop(self, member: MemberId) -> None:
        """End the connection to a member."""
        self._transport.drop(member)

    def offload(
        self, thread: str, work: Callable[[], Any], done: Callable[[Any], None] | None = None
    ) -> None:
        """Run `work` in the thread so named."""
        if thread not in self._threads:
            name = f"raft-{self._settings.member_id:x}-{thread}"
            self._threads[thread] = self._make_thread(name, asyncio.get_running_loop())
        self._working += 1

        def ended(result: Any, error: BaseException | None) -> None:
            self._working -= 1
            self._rested.set()
            if error is not None:
                self._fail(error)
            elif done is not None and self._error is None:
                self._guarded(lambda: done(result))

        self._threads[thread].submit(work, ended)

    def _guarded(self, call: Callable[[], None]) -> None:
        """Run a piece of the core; an error there is the end of this member."""
        try:
            call()
        except Exception as error:
            self._fail(error)

    # Events of the transport

    def hello(self) -> dict[str, Any]:
        """What the core says of itself."""
        return self._core.hello()

    def members(self) -> list[tuple[int, list[str], bool]]:
        """Id and peer URLs of all members, and whether they count, or will if a change is committed."""
        known, voters = self._settings.peer_urls, self._core.voters()
        return [
            (int(seat.id), list(known.get(seat.id) or seat.peer_urls), seat.id in voters)
            for seat in self.configuration()
        ]

    def connected(self, member: MemberId, hello: dict[str, Any]) -> None:
        """A connection is up."""
        if not self._stopping and self._error is None:
            self._guarded(lambda: self._core.connected(member, hello))

    def disconnected(self, member: MemberId) -> None:
        """A connection ended."""
        if not self._stopping and self._error is None:
            self._guarded(lambda: self._core.disconnected(member))

    def received(self, member: MemberId, message: Message) -> None:
        """A message arrived."""
        if not self._stopping and self._error is None:
            try:
                self._core.receive(member, message)
            except Exception as error:
                self._fail(error)


def _failed(error: Exception) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
