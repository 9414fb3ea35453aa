"""Members, status, alarms, leadership transfer.

Ids are etcd's: the first eight bytes of a SHA-1 over a member's sorted peer URLs and the cluster's token, and over the
sorted member ids for the cluster. A list of members started with the same flags has the same ids as etcd's. Who is a
member is what replication counts by (`Replicator.configuration`), changed one member at a time; names and client
addresses come from what each member says of itself through the log.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from kvstore.base.clock import Clock, SystemClock
from kvstore.machine.commands import Alarm, MemberPeerUrls
from kvstore.machine.outcome import AlarmReply
from kvstore.raft.configuration import Change, ChangeRefused, Kind
from kvstore.raft.replicator import MemberId, NotLeader, RaftStatus, Replicator
from kvstore.service.corruption import digest_of
from kvstore.service.downgrade import DowngradeService
from kvstore.service.errors import (
    BadLeaderTransferee,
    LearnerNotReady,
    MemberExists,
    MemberNotFound,
    MemberUrlsInvalid,
    NotEnoughStarted,
    NotLearner,
    PeerUrlExists,
    ServiceError,
    TooManyLearners,
    Unhealthy,
)
from kvstore.service.guard import Caller
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

_REFUSALS: dict[str, type[ServiceError]] = {
    "id-exists": MemberExists,
    # etcd says the same of one that never was and of one that was removed.
    "id-removed": MemberNotFound,
    "not-found": MemberNotFound,
    "url-exists": PeerUrlExists,
    "not-learner": NotLearner,
    "learner-not-ready": LearnerNotReady,
    "too-many-learners": TooManyLearners,
    "last-voter": NotEnoughStarted,
}
_TRANSFER_SECONDS = 3.0

_CHANGE_SECONDS = 7.0
_HEALTH_INTERVAL_SECONDS = 5.0
"""For so long a voter must have been connected before members are added or removed, as in etcd."""
_HEALTH_SECONDS = 2.0
"""A probe must be answered before its own, usually short, deadline."""


def member_id_of(peer_urls: Sequence[str], token: str) -> MemberId:
    """etcd's id of a member bootstrapped with these URLs."""
    text = "".join(sorted(peer_urls)) + token
    return MemberId(int.from_bytes(hashlib.sha1(text.encode()).digest()[:8], "big"))


def cluster_id_of(member_ids: Sequence[MemberId]) -> int:
    """etcd's id of a cluster bootstrapped with these members."""
    joined = b"".join(member_id.to_bytes(8, "big") for member_id in sorted(member_ids))
    return int.from_bytes(hashlib.sha1(joined).digest()[:8], "big")


class Member(msgspec.Struct, frozen=True):
    """One member. `name` and `client_urls` are empty until it has been up once."""

    id: MemberId
    peer_urls: tuple[str, ...]
    name: str = ""
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False


def _is_peer_url(url: str) -> bool:
    parts = urlsplit(url)
    try:
        has_port = parts.port is not None
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https") and bool(parts.hostname) and has_port and not parts.path
    )


class ClusterService:
    """What is known of the members."""

    def __init__(
        self,
        machine: MachineView,
        replicator: Replicator,
        proposer: Proposer,
        *,
        cluster_id: int,
        peer_urls: Mapping[MemberId, tuple[str, ...]],
        clock: Clock | None = None,
        is_strict: bool = True,
        alarms: Callable[[], set[tuple[int, int]]] | None = None,
    ) -> None:
        self._machine = machine
        self._replicator = replicator
        self._proposer = proposer
        self.cluster_id = cluster_id
        self._peer_urls = dict(peer_urls)
        self._clock, self._is_strict = clock or SystemClock(), is_strict
        self.downgrades = DowngradeService(machine, proposer)
        self._all_alarms = alarms or (lambda: machine.alarms)

    @property
    def revision(self) -> int:
        """The store's revision here."""
        return self._machine.revision

    @property
    def size_bytes(self) -> int:
        """Logical size of the store."""
        return self._machine.size_bytes

    async def confirm_current(self) -> None:
        """Return once local state holds all that was acknowledged before. Raises ReplicationError."""
        await self._proposer.confirm_read()

    def status(self) -> RaftStatus:
        """Raft's view here."""
        return self._replicator.status()

    def problems(self) -> tuple[str, ...]:
        """What is wrong in one line each, in etcd's words; empty = healthy."""
        found = [] if self._replicator.status().leader_id else ["etcdserver: no leader"]
        for member_id, alarm in sorted(self._all_alarms()):
            name = {1: "NOSPACE", 2: "CORRUPT"}.get(alarm, str(alarm))
            found.append(f"memberID:{member_id} alarm:{name} ")
        return tuple(found)

    async def members(self, *, is_linearizable: bool = True) -> tuple[Member, ...]:
        """All members, by id."""
        if is_linearizable:
            await self._proposer.confirm_read()
        learners = self._replicator.configuration().learners
        found: list[Member] = []
        for member_id, urls in sorted(self.peer_urls().items()):
            name, client_urls = self._machine.members.get(member_id, ("", ()))
            is_learner = member_id in learners
            found.append(Member(member_id, urls, name, tuple(client_urls), is_learner))
        return tuple(found)

    def peer_urls(self) -> dict[MemberId, tuple[str, ...]]:
        """Where members reach each other, with what was updated since they were added."""
        moved, first = self._machine.peer_urls, self._peer_urls
        seats = {seat.id: seat.peer_urls for seat in self._replicator.configuration()}
        known = seats or first
        return {
            one: tuple(moved.get(one) or urls or first.get(one, ())) for one, urls in known.items()
        }

    async def update_member(
        self, member_id: int, peer_urls: Sequence[str], caller: Caller | None = None
    ) -> tuple[Member, ...]:
        """Give a member other peer URLs; all members. Raises MemberNotFound, MemberUrlsInvalid, PeerUrlExists."""
        await self._proposer.confirm_read()
        member = self._known(member_id)
        self._check_urls(peer_urls, member)
        await self._proposer.submit(MemberPeerUrls(member, tuple(peer_urls)), caller)
        return await self.members(is_linearizable=False)

    def _known(self, member_id: int) -> MemberId:
        member = MemberId(member_id)
        if member not in self.peer_urls():
            raise MemberNotFound
        return member

    def _check_urls(self, peer_urls: Sequence[str], own: MemberId | None = None) -> None:
        if not peer_urls or not all(_is_peer_url(url) for url in peer_urls):
            raise MemberUrlsInvalid
        taken = {url for one, urls in self.peer_urls().items() if one != own for url in urls}
        if taken & set(peer_urls):
            raise PeerUrlExists

    async def confirm_health(self) -> None:
        """Return if this member can reach a quorum; raises ReplicationError otherwise."""
        await self._proposer.confirm_read(_HEALTH_SECONDS)

    def alarms(self) -> tuple[tuple[int, int], ...]:
        """Active alarms as (member_id, alarm)."""
        return tuple(sorted(self._all_alarms()))

    async def set_alarm(
        self, action: int, member_id: int, alarm: int, caller: Caller | None = None
    ) -> tuple[tuple[int, int], ...]:
        """Raise (action 1) or clear (2) one alarm of one member; it, or nothing if there was none to clear.

        Clearing names member and alarm, as in etcd: there is no wildcard. etcd dies of an alarm it does not know.
        """
        if action not in (1, 2) or alarm not in (1, 2):
            return ()
        outcome = await self._proposer.submit(Alarm(action, member_id, alarm), caller)
        return outcome.reply.alarms if isinstance(outcome.reply, AlarmReply) else ()

    async def move_leader(self, target: int) -> None:
        """Hand leadership to `target`. Raises NotLeader, BadLeaderTransferee, TransferFailed."""
        status = self._replicator.status()
        if status.leader_id != status.member_id:
            raise NotLeader
        member_id = MemberId(target)
        members = self._replicator.configuration()
        if member_id not in (members.voters or self._peer_urls):
            raise BadLeaderTransferee
        if member_id == status.member_id:
            return
        await self._replicator.transfer_leadership(member_id, _TRANSFER_SECONDS)

    async def add_member(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> tuple[Member, tuple[Member, ...]]:
        """Add a member; it, and all. It votes once it runs and holds the log; a learner when it is promoted.

        Raises MemberUrlsInvalid, PeerUrlExists, NotEnoughStarted, Unhealthy, TooManyLearners.
        """
        await self._proposer.confirm_read()
        self._check_urls(peer_urls)
        if self._is_strict:
            if not is_learner and not self._may_add_voter():
                raise NotEnoughStarted
            if self._connected_voters() < len(self._replicator.configuration().voters):
                raise Unhealthy
        urls = tuple(sorted(peer_urls))
        # As etcd's: with the time, so that a member that comes again is another one.
        member_id = member_id_of(urls, str(int(self._clock.time())))
        kind: Kind = "add-learner" if is_learner else "add"
        await self._change(Change(kind, member_id, urls))
        members = await self.members(is_linearizable=False)
        return next(one for one in members if one.id == member_id), members

    async def remove_member(self, member_id: int) -> tuple[Member, ...]:
        """Remove a member for good; all that are left. Raises MemberNotFound, NotEnoughStarted, Unhealthy."""
        await self._proposer.confirm_read()
        member = self._known(member_id)
        if self._is_strict:
            self._check_removal(member)
        await self._change(Change("remove", member))
        return await self.members(is_linearizable=False)

    async def promote_member(self, member_id: int) -> tuple[Member, ...]:
        """Give a learner a vote; all members. Raises MemberNotFound, NotLearner, LearnerNotReady, NotEnoughStarted."""
        await self._proposer.confirm_read()
        member = self._known(member_id)
        if member not in self._replicator.configuration().learners:
            raise NotLearner
        if self._is_strict and not self._may_add_voter():
            raise NotEnoughStarted
        await self._change(Change("promote", member))
        return await self.members(is_linearizable=False)

    async def _change(self, change: Change) -> None:
        try:
            await self._replicator.change_members(change, _CHANGE_SECONDS)
        except ChangeRefused as refusal:
            raise _REFUSALS[refusal.reason]() from refusal

    def _is_started(self, member: MemberId) -> bool:
        """As in etcd: it has said its name."""
        return bool(self._machine.members.get(member, ("", ()))[0])

    def _may_add_voter(self) -> bool:
        """etcd's rule: with one more voter, those that have started must still be a majority."""
        voters = [seat.id for seat in self._replicator.configuration() if not seat.is_learner]
        started = sum(map(self._is_started, voters))
        count = len(voters) + 1
        # One that was added to a single member and is to be replaced before it ever started.
        return (started == 1 and count == 2) or started >= count // 2 + 1

    def _check_removal(self, member: MemberId) -> None:
        seats = self._replicator.configuration()
        if member in seats.learners:
            return
        left = [seat.id for seat in seats if not seat.is_learner and seat.id != member]
        started = sum(map(self._is_started, left))
        if not left or started < len(left) // 2 + 1:
            raise NotEnoughStarted
        is_down = member != self._replicator.status().member_id and not self._is_connected(member)
        voters = len(seats.voters)
        if not is_down and self._connected_voters() - 1 < 1 + (voters - 1) // 2:
            raise Unhealthy

    def _is_connected(self, member: MemberId, for_seconds: float = 0.0) -> bool:
        since = self._replicator.connected_since().get(member)
        return since is not None and since <= self._clock.monotonic() - for_seconds

    def _connected_voters(self) -> int:
        """Voters that were there for some seconds, this member included."""
        own = self._replicator.status().member_id
        voters = self._replicator.configuration().voters
        return sum(
            one == own or self._is_connected(one, _HEALTH_INTERVAL_SECONDS) for one in voters
        )

    async def digest(self, revision: int) -> tuple[int, int]:
        """(hash of the state at `revision`, compacted revision); 0 = newest. May raise StoreError."""
        return await digest_of(self._machine, revision)
