"""Members, status, alarms, leadership transfer.

Ids are etcd's: the first eight bytes of a SHA-1 over a member's sorted peer URLs and the cluster's token, and over the
sorted member ids for the cluster. A list of members started with the same flags has the same ids as etcd's. The set of
members is fixed at the first start, their peer addresses can be updated; names and client addresses come from what each
member says of itself through the log.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from kvstore.machine.commands import Alarm, MemberPeerUrls
from kvstore.machine.outcome import AlarmReply
from kvstore.raft.replicator import MemberId, NotLeader, RaftStatus, Replicator
from kvstore.service.corruption import digest_of
from kvstore.service.downgrade import DowngradeService
from kvstore.service.errors import (
    BadLeaderTransferee,
    MemberNotFound,
    MemberUrlsInvalid,
    NotLearner,
    NotSupported,
    PeerUrlExists,
)
from kvstore.service.guard import Caller
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

_TRANSFER_SECONDS = 3.0

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
        alarms: Callable[[], set[tuple[int, int]]] | None = None,
    ) -> None:
        self._machine = machine
        self._replicator = replicator
        self._proposer = proposer
        self.cluster_id = cluster_id
        self._peer_urls = dict(peer_urls)
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
        return tuple(self._member(member_id) for member_id in sorted(self._peer_urls))

    def _member(self, member_id: MemberId) -> Member:
        name, client_urls = self._machine.members.get(member_id, ("", ()))
        return Member(member_id, self.peer_urls()[member_id], name, tuple(client_urls))

    def peer_urls(self) -> dict[MemberId, tuple[str, ...]]:
        """Where members reach each other, with what was updated since their first start."""
        moved = self._machine.peer_urls
        return {one: moved.get(one, urls) for one, urls in self._peer_urls.items()}

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
        if member not in self._peer_urls:
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
        if member_id not in self._peer_urls:
            raise BadLeaderTransferee
        if member_id == status.member_id:
            return
        await self._replicator.transfer_leadership(member_id, _TRANSFER_SECONDS)

    def refuse_add(self, peer_urls: Sequence[str]) -> None:
        """Members cannot be added: always raises, what etcd would refuse with etcd's error."""
        self._check_urls(peer_urls)
        self._refuse("member add")

    def refuse_remove(self, member_id: int) -> None:
        """Members cannot be removed: always raises."""
        self._known(member_id)
        self._refuse("member remove")

    def refuse_promote(self, member_id: int) -> None:
        """There are no learners: always raises."""
        self._known(member_id)
        raise NotLearner

    def _refuse(self, what: str) -> None:
        raise NotSupported(
            f"{what} is not supported: the members of a cluster are fixed by --initial-cluster at its first start"
        )

    async def digest(self, revision: int) -> tuple[int, int]:
        """(hash of the state at `revision`, compacted revision); 0 = newest. May raise StoreError."""
        return await digest_of(self._machine, revision)
