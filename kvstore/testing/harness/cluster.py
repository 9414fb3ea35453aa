"""A cluster to be broken by a test: blocking verbs, clients that record, and the checks of what they saw.

    cluster.kill(cluster.leader)
    with cluster.client() as client:
        client.put("key", "value")
    cluster.assert_linearizable()

Members are named m1, m2, …; wherever a name is expected "leader" stands for whoever leads at that moment. The store
runs in this process (mode "inprocess") or as real processes (mode "process"); the verbs are the same.
"""

import asyncio
import datetime
import itertools
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from kvstore.base.clock import Clock, SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import AlarmKind, ClientTls
from kvstore.faults.kinds import ClockFault, DiskFault, LinkFault
from kvstore.local.certificates import CertificateAuthority
from kvstore.local.process import Process
from kvstore.local.store import LEADER, StoreCluster
from kvstore.local.topology import StoreSettings
from kvstore.testing.check import linearizable
from kvstore.testing.check.verdict import check_all
from kvstore.testing.check.violation import Violation
from kvstore.testing.harness.host import Host
from kvstore.testing.harness.inprocess import InProcessCluster
from kvstore.testing.harness.report import write_report
from kvstore.testing.history.history import DigestRecord, FaultRecord, History, Note, StartRecord
from kvstore.testing.history.record import RecordingClient, RecordingSyncClient

T = TypeVar("T")
Mode = Literal["inprocess", "process"]
_LOG_LINES = 60


class ClusterBroken(Exception):
    """The cluster cannot be brought to where the caller wants it."""


class Cluster:
    """One store cluster and its history.

    Args:
        folder: where logs and data go.
        members: how many.
        mode: "inprocess" or "process".
        tls: mutual TLS on client and peer ports.
        settings: of the members; shorter timeouts than a real cluster's by default.
        host: shared with other clusters, which start quicker then; closed by whoever made it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        members: int = 3,
        mode: Mode = "inprocess",
        tls: bool = False,
        settings: StoreSettings | None = None,
        clock: Clock | None = None,
        host: Host | None = None,
    ) -> None:
        if members < 1:
            raise ValueError(f"members={members}: at least one is needed")
        self.folder = folder
        self.mode = mode
        self.history = History(info={"mode": mode, "members": str(members)})
        self.tls: ClientTls | None = None
        self._clock = clock or SystemClock()
        self._host = host or Host()
        self._owns_host = host is None
        self._portal = self._host.portal
        self._is_closed = False
        self._numbers = itertools.count(1)
        self._clients: list[RecordingSyncClient] = []
        self._admin: Client | None = None
        self._has_faults = False
        self._is_spoilt = False
        authorities = self._make_authorities() if tls else None
        names = [f"m{number}" for number in range(1, members + 1)]
        kind = StoreCluster if mode == "process" else InProcessCluster
        self._backend: StoreCluster | InProcessCluster = kind(
            folder, names, self._clock, settings or StoreSettings(), authorities=authorities
        )

    def _make_authorities(self) -> tuple[CertificateAuthority, CertificateAuthority]:
        # The one use of the time of day: certificates are dated.
        now = datetime.datetime.now(datetime.UTC)
        clients = CertificateAuthority(self.folder / "tls" / "clients", now)
        peers = CertificateAuthority(self.folder / "tls" / "peers", now)
        own = clients.identity("test-client", "root")
        self.tls = ClientTls(str(own.ca_file), str(own.cert_file), str(own.key_file))
        return clients, peers

    # -- life

    def start(self, timeout_seconds: float = 60.0) -> Self:
        """Start all members and wait until they serve."""
        self._do(lambda: self._start(timeout_seconds))
        self._admin = self._portal.run(self._open_admin)
        return self

    async def _start(self, timeout_seconds: float) -> None:
        backend = self._backend
        if isinstance(backend, StoreCluster):
            await backend.start_cluster(timeout_seconds, await self._host.spawner())
        else:
            await backend.start_cluster(timeout_seconds)

    async def _open_admin(self) -> Client:
        return Client(list(self._backend.endpoints.values()), tls=self.tls, timeout_seconds=10.0)

    def close(self) -> None:
        """End clients and members. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._close_clients()
            if self._admin is not None:
                self._do(self._admin.close)
            self._do(self._backend.stop_cluster)
        finally:
            if self._owns_host:
                self._host.close()
            self.history.close(self._clock.monotonic())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def reset(self) -> None:
        """Everything healed, empty and forgotten; milliseconds if nobody is down. Raises ClusterBroken.

        Revisions go on: the history begins with a record of where.
        """
        self._close_clients()
        if self._is_spoilt:
            raise ClusterBroken("clocks were moved, which cannot be undone")
        if self._has_faults:
            self.heal()
        try:
            start = self._do(self._wipe)
        except ClientError as error:
            raise ClusterBroken(f"the store could not be emptied: {error}") from error
        self.history.clear()
        self.history.append(start)

    async def _wipe(self) -> StartRecord:
        admin = self._admin
        if admin is None:
            raise ClusterBroken("the cluster has not been started")
        auth, users, roles, alarms, leases = await asyncio.gather(
            admin.auth_status(),
            admin.user_list(),
            admin.role_list(),
            admin.alarm_list(),
            admin.lease_list(),
        )
        if auth.enabled:
            raise ClusterBroken("authentication was switched on")
        await asyncio.gather(
            *(admin.user_delete(user) for user in users.users),
            *(admin.role_delete(role) for role in roles.roles),
            *(admin.alarm_disarm(member, AlarmKind(kind)) for member, kind in alarms.alarms),
            *(admin.lease_revoke(lease) for lease in leases.ids),
        )
        deleted = await admin.delete(b"\0", range_end=b"\0")
        compacted = 0
        if deleted.deleted:
            await admin.compact(deleted.revision)
            compacted = deleted.revision
        return StartRecord(self._clock.monotonic(), deleted.revision, compact_revision=compacted)

    # -- looking

    @property
    def members(self) -> tuple[str, ...]:
        """All members' names."""
        return self._backend.members

    @property
    def endpoints(self) -> list[str]:
        """All members' client URLs."""
        return list(self._backend.endpoints.values())

    @property
    def leader(self) -> str:
        """Who leads; waits up to 10 s for one."""
        return self._do(self._backend.leader)

    @property
    def followers(self) -> list[str]:
        """All but the leader."""
        leader = self.leader
        return [name for name in self.members if name != leader]

    def endpoint(self, member: str) -> str:
        """One member's client URL."""
        return self._backend.endpoints[self._name(member)]

    def pid(self, member: str) -> int | None:
        """The process of a member; None in this process's mode, or if it is down."""
        process = self._backend.process(self._name(member))
        return process.pid if isinstance(process, Process) and process.is_running else None

    def logs(self, lines: int = _LOG_LINES) -> dict[str, str]:
        """The end of each member's log."""
        found = {}
        for name in self.members:
            path = self._backend.process(name).spec.log_file
            if path.exists():
                found[name] = "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
        return found

    def client(self, *members: str, name: str = "", **options: Any) -> RecordingSyncClient:
        """A blocking client of all members, or of some, that records; closed with the test if not before."""
        client = RecordingSyncClient(
            self._urls(members),
            history=self.history,
            name=name or f"client-{next(self._numbers)}",
            tls=self.tls,
            clock=self._clock,
            **options,
        )
        self._clients.append(client)
        return client

    def async_client(self, *members: str, name: str = "", **options: Any) -> RecordingClient:
        """An asyncio client that records, for the caller's own loop; use it with `async with`."""
        return RecordingClient(
            self._urls(members),
            history=self.history,
            name=name or f"client-{next(self._numbers)}",
            tls=self.tls,
            clock=self._clock,
            **options,
        )

    def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Until somebody leads and a write goes through. Raises ClusterBroken."""
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            try:
                self._do(self._confirm)
                return
            except ClientError as error:
                if self._clock.monotonic() > deadline:
                    raise ClusterBroken(f"not ready in {timeout_seconds:g} s: {error}") from error

    async def _confirm(self) -> None:
        if self._admin is not None:
            await self._admin.get(b"\0", timeout_seconds=2.0)

    # -- breaking

    def kill(self, *members: str) -> None:
        """End members as kill -9 does."""
        names = self._names(members)
        self._note("kill", names)
        self._do(lambda: self._backend.kill(names))

    def stop(self, *members: str) -> None:
        """Stop members in order; they hand leadership over."""
        names = self._names(members)
        self._note("stop", names)
        self._do(lambda: self._backend.stop(names))

    def restart(self, *members: str) -> None:
        """Start members again, after ending those that run; wait until they serve."""
        names = self._names(members)
        running = [name for name in names if self._backend.process(name).is_running]
        if running:
            self.kill(*running)
        late = self._do(lambda: self._backend.start(names))
        self._note("kill", names, is_on=False)
        if late:
            raise ClusterBroken(f"{', '.join(late)} did not become ready")

    def pause(self, *members: str) -> None:
        """Freeze members."""
        names = self._names(members)
        self._note("pause", names)
        self._do(lambda: _awaited(self._backend.pause(names)))

    def resume(self, *members: str) -> None:
        """Let frozen members go on; no names: all."""
        names = self._names(members or self.members)
        self._do(lambda: self._backend.resume(names))
        self._note("pause", names, is_on=False)

    def partition(self, *groups: Sequence[str] | str, one_way: bool = False) -> None:
        """Let nothing pass between groups; one group is cut off from the rest. A name is a group of one.

        `one_way`: nothing passes from the first to the second group, but the other way it does.
        """
        sides = [self._names([one] if isinstance(one, str) else one) for one in groups]
        self._note("partition", [name for side in sides for name in side])
        self._do(lambda: self._backend.faults.partition(sides, is_one_way=one_way))

    def isolate(self, member: str) -> None:
        """Cut one member off from all others. Its clients still reach it."""
        self.partition([member])

    def network(self, member: str, peer: str = "", **faults: Any) -> None:
        """Make links slow or lossy: `delay_seconds`, `jitter_seconds`, `drop`, `bytes_per_second`, `cut`."""
        name = self._name(member)
        link = LinkFault(self._name(peer) if peer else "", **faults)
        self._note("network", [name], link.describe())
        self._do(lambda: self._backend.faults.network(name, link))

    def disk(self, member: str, **faults: Any) -> None:
        """Break a disk: `slow_fsync_seconds`, `fail_fsync`, `full`, `read_only`, `torn_on_kill`."""
        name, fault = self._name(member), DiskFault(**faults)
        self._note("disk", [name], fault.describe())
        self._do(lambda: self._backend.faults.disk(name, fault))

    def skew_clock(
        self, member: str, seconds: float = 0.0, *, drift: float = 0.0, jump: float = 0.0
    ) -> None:
        """Make a member's clocks wrong: the wall clock by `seconds`; all run `drift` faster, or leap by `jump`."""
        name = self._name(member)
        fault = ClockFault(seconds, jump, drift)
        self._is_spoilt = self._is_spoilt or bool(jump or drift)
        self._note("clock", [name], fault.describe())
        self._do(lambda: self._backend.faults.clock(name, fault))

    def heal(self) -> None:
        """Undo all faults, let everybody go on, start who is down, and wait until the cluster serves."""
        self._do(self._backend.heal)
        self._note("heal", self.members, is_on=False)
        self.wait_ready()
        self._has_faults = False

    def move_leader(self, member: str) -> None:
        """Hand leadership over to `member`, and wait until it leads."""
        name = self._name(member)

        async def move() -> None:
            admin = self._admin
            if admin is None:
                raise ClusterBroken("the cluster has not been started")
            listed = (await admin.member_list()).members
            target = next(one.id for one in listed if one.name == name)
            if await self._backend.leader() != name:
                await admin.move_leader(target)

        self._do(move)
        deadline = self._clock.monotonic() + 10.0
        while self.leader != name:
            if self._clock.monotonic() > deadline:
                raise ClusterBroken(f"{name} did not take over")

    # -- judging

    def check(self) -> list[Violation]:
        """Violations of all that is checked, equal hashes of the members that answer included."""
        self._do(self._digest)
        return check_all(self.history)

    async def _digest(self) -> None:
        admin = self._admin
        if admin is None:
            return
        try:
            revision = (await admin.get(b"\0")).revision
        except ClientError:
            return
        for name, url in self._backend.endpoints.items():
            if self._backend.process(name).state != "ready":
                continue
            try:
                one = await admin.hash_kv(url, revision=revision)
            except ClientError:
                continue  # It is behind, or does not answer: there is nothing to compare.
            self.history.append(
                DigestRecord(
                    self._clock.monotonic(), name, revision, one.hash, one.compact_revision
                )
            )

    def assert_linearizable(self) -> None:
        """AssertionError, with what is wrong, if no order explains what the clients of `client` saw.

        All writes must come from clients of this cluster: those of others cannot be explained.
        """
        self._assert(linearizable.check(self.history))

    def assert_sound(self) -> None:
        """AssertionError unless all that is checked holds."""
        self._assert(self.check())

    def _assert(self, violations: list[Violation]) -> None:
        if violations:
            lines = "\n".join(f"  {one}" for one in violations)
            raise AssertionError(f"{len(violations)} violation(s):\n{lines}")

    def write_report(self, folder: Path, *, title: str) -> tuple[Path, Path]:
        """Write the timeline page and the history; their paths."""
        page, lines = folder / "timeline.html", folder / "history.jsonl"
        self.history.write(lines)
        write_report(page, self.history, check_all(self.history), title=title)
        return page, lines

    # -- helpers

    def note(self, text: str) -> None:
        """A line for the timeline."""
        self.history.append(Note(self._clock.monotonic(), text))

    def _do(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._portal.run(make)

    def _note(
        self, kind: str, targets: Sequence[str], detail: str = "", *, is_on: bool = True
    ) -> None:
        self._has_faults = self._has_faults or is_on
        now = self._clock.monotonic()
        self.history.append(FaultRecord(now, kind, tuple(targets), is_on, detail))

    def _name(self, member: str) -> str:
        return self.leader if member == LEADER else self._checked(member)

    def _names(self, members: Sequence[str]) -> list[str]:
        if not members:
            raise ValueError('name at least one member, or "leader"')
        return [self._name(one) for one in members]

    def _checked(self, member: str) -> str:
        self._backend.process(member)
        return member

    def _urls(self, members: Sequence[str]) -> list[str]:
        urls = self._backend.endpoints
        return [urls[name] for name in (self._names(members) if members else self.members)]

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()


async def _awaited(result: Any) -> None:
    """For verbs that one kind of cluster does at once."""
    if result is not None:
        await result
