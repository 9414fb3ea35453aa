"""Members, status, alarms, leadership transfer.

Ids are etcd's: the first eight bytes of a SHA-1 over a member's sorted peer URLs and the cluster's token, and over the
sorted member ids for the cluster. A list of members started with the same flags has the same ids as etcd's. The set of
members is fixed at start; names and client addresses come from what each member says of itself through the log.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvstore.machine.commands import Alarm
from kvstore.machine.outcome import AlarmReply
from kvstore.raft.replicator import MemberId, NotLeader, RaftStatus, Replicator
from kvstore.service.errors import BadLeaderTransferee, MemberNotFound, NotSupported
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


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `name` and `client_urls` are empty until it has been up once."""

    id: MemberId
    peer_urls: tuple[str, ...]
    name: str = ""
    client_urls: tuple[str, ...] = ()


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
    ) -> None:
        self._machine = machine
        self._replicator = replicator
        self._proposer = proposer
        self.cluster_id = cluster_id
        self._peer_urls = dict(peer_urls)

    @property
    def revision(self) -> int:
        """The store's revision here."""
        return self._machine.revision

    @property
    def size_bytes(self) -> int:
        """Logical size of the store."""
        return self._machine.size_bytes

    def status(self) -> RaftStatus:
        """Raft's view here."""
        return self._replicator.status()

    def problems(self) -> tuple[str, ...]:
        """What is wrong in one line each, in etcd's words; empty = healthy."""
        found = [] if self._replicator.status().leader_id else ["etcdserver: no leader"]
        for member_id, alarm in sorted(self._machine.alarms):
            name = {1: "NOSPACE", 2: "CORRUPT"}.get(alarm, str(alarm))
            found.append(f"memberID:{member_id} alarm:{name} ")
        return tuple(found)

    async def members(self, *, is_linearizable: bool = True) -> tuple[Member, ...]:
        """All members, by id."""
        if is_linearizable:
            await self._proposer.confirm_read()
        listed = []
        for member_id in sorted(self._peer_urls):
            name, client_urls = self._machine.members.get(member_id, ("", ()))
            listed.append(Member(member_id, self._peer_urls[member_id], name, tuple(client_urls)))
        return tuple(listed)

    async def confirm_health(self) -> None:
        """Return if this member can reach a quorum; raises ReplicationError otherwise."""
        await self._proposer.confirm_read(_HEALTH_SECONDS)

    def alarms(self) -> tuple[tuple[int, int], ...]:
        """Active alarms as (member_id, alarm)."""
        return tuple(sorted(self._machine.alarms))

    async def set_alarm(
        self, action: int, member_id: int, alarm: int, caller: Caller | None = None
    ) -> tuple[tuple[int, int], ...]:
        """Raise (action 1) or clear (2) an alarm; those it touched. `member_id` 0 with clear = all members."""
        if action == 2 and member_id == 0:
            wanted = [pair for pair in sorted(self._machine.alarms) if alarm in (0, pair[1])]
        else:
            wanted = [(member_id, alarm)]
        touched: list[tuple[int, int]] = []
        for one_member, one_alarm in wanted:
            outcome = await self._proposer.submit(Alarm(action, one_member, one_alarm), caller)
            if isinstance(outcome.reply, AlarmReply):
                touched.extend(outcome.reply.alarms)
        return tuple(touched)

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

    def refuse_change(self, what: str, member_id: int | None = None) -> None:
        """Member changes are not offered: always raises."""
        if member_id is not None and MemberId(member_id) not in self._peer_urls:
            raise MemberNotFound
        raise NotSupported(
            f"{what} is not supported: the members of a cluster are fixed by --initial-cluster at its first start"
        )

    def digest(self, revision: int) -> tuple[int, int]:
        """(hash of the state at `revision`, compacted revision); 0 = newest. May raise StoreError."""
        return self._machine.digest(revision)
