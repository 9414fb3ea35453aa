"""Who is a member: the configuration of a cluster, and the changes it can go through, one member at a time.

A configuration is an entry of the log, whole, not as a difference. It is in force on a member from the moment in which
that entry stands in its log, committed or not, until a later one, or until the entry is cut off again (Raft
dissertation, 4.1). Majorities of two configurations that differ by one voter have a member in common; that is why only
one voter comes or goes at once, and why the next change waits until the last one is committed.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from kvstore.raft.replicator import MemberId, ReplicationError

CONFIG_PREFIX = b"\x02"
"""First byte of an entry that holds a configuration; entries of proposals and of new terms begin otherwise."""

MAX_LEARNERS = 1
"""As etcd's --max-learners."""

Kind = Literal["add", "add-learner", "remove", "promote", "count"]
Reason = Literal[
    "id-exists",
    "id-removed",
    "not-found",
    "url-exists",
    "not-learner",
    "learner-not-ready",
    "too-many-learners",
    "last-voter",
]


class ChangeRefused(ReplicationError):
    """The change does not fit the configuration, and nothing was changed. `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the members cannot be changed so: {reason}")
        self.reason: Reason = reason


class Seat(msgspec.Struct, frozen=True, array_like=True):
    """One member's place. `peer_urls` is where it was reached when it was added; empty if that is not known."""

    id: MemberId
    peer_urls: tuple[str, ...] = ()
    is_learner: bool = False
    is_joining: bool = False
    """Added as a voter, and does not count before it holds the log (the dissertation's new servers, 4.2.1)."""

    @property
    def counts(self) -> bool:
        """Whether its votes and acknowledgements do."""
        return not (self.is_learner or self.is_joining)


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One step. `peer_urls` are those of a member that is added.

    add: as a voter, which the leader has counted ("count") by itself once it holds the log, so that a member that was
    added and never started does not take the majority away; add-learner; promote: a learner; remove.
    """

    kind: Kind
    member_id: MemberId
    peer_urls: tuple[str, ...] = ()


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Members by id, voters and learners, and the ids of all that were ever removed: they never come back.

    Without any seat it is that of a member that joins and has not learned yet who is in the cluster.
    """

    seats: tuple[Seat, ...] = ()
    removed: tuple[MemberId, ...] = ()

    @classmethod
    def of(cls, data: bytes) -> "Configuration":
        """Out of its encoded form. Raises msgspec.DecodeError."""
        return msgspec.msgpack.decode(data, type=cls)

    def __contains__(self, member_id: object) -> bool:
        return any(seat.id == member_id for seat in self.seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.seats)

    @property
    def voters(self) -> tuple[MemberId, ...]:
        """Those whose votes and acknowledgements count."""
        return tuple(seat.id for seat in self.seats if seat.counts)

    @property
    def joining(self) -> tuple[MemberId, ...]:
        """Those that are to count once they hold the log."""
        return tuple(seat.id for seat in self.seats if seat.is_joining)

    @property
    def learners(self) -> tuple[MemberId, ...]:
        """Those that are sent everything and count for nothing."""
        return tuple(seat.id for seat in self.seats if seat.is_learner)

    def seat(self, member_id: MemberId) -> Seat | None:
        """The place of a member."""
        return next((seat for seat in self.seats if seat.id == member_id), None)

    def changed(self, change: Change) -> "Configuration":
        """The next configuration. Raises ChangeRefused."""
        member_id, seat = change.member_id, self.seat(change.member_id)
        if change.kind in ("add", "add-learner"):
            return self._with(change)
        if seat is None:
            raise ChangeRefused("id-removed" if member_id in self.removed else "not-found")
        if change.kind in ("promote", "count"):
            if not (seat.is_learner if change.kind == "promote" else seat.is_joining):
                raise ChangeRefused("not-learner")
            promoted = Seat(seat.id, seat.peer_urls)
            return self._of([*(one for one in self.seats if one.id != member_id), promoted])
        if self.voters == (member_id,):
            raise ChangeRefused("last-voter")
        left = [one for one in self.seats if one.id != member_id]
        return Configuration(tuple(left), tuple(sorted({*self.removed, member_id})))

    def _with(self, change: Change) -> "Configuration":
        member_id, is_learner = change.member_id, change.kind == "add-learner"
        if member_id in self.removed:
            raise ChangeRefused("id-removed")
        if member_id in self:
            raise ChangeRefused("id-exists")
        if {url for seat in self.seats for url in seat.peer_urls} & set(change.peer_urls):
            raise ChangeRefused("url-exists")
        if is_learner and len(self.learners) >= MAX_LEARNERS:
            raise ChangeRefused("too-many-learners")
        seat = Seat(member_id, change.peer_urls, is_learner, is_joining=not is_learner)
        return self._of([*self.seats, seat])

    def _of(self, seats: list[Seat]) -> "Configuration":
        return Configuration(tuple(sorted(seats, key=lambda seat: seat.id)), self.removed)


class Entered(msgspec.Struct, frozen=True, array_like=True):
    """What an entry with a configuration holds: it, and who waits for it under which number of which boot."""

    configuration: Configuration
    member_id: MemberId
    nonce: int
    number: int


def is_configuration(data: bytes) -> bool:
    """Whether an entry holds a configuration."""
    return data[:1] == CONFIG_PREFIX


def encode_entered(entered: Entered) -> bytes:
    """The entry's data."""
    return CONFIG_PREFIX + msgspec.msgpack.encode(entered)


def decode_entered(data: bytes) -> Entered:
    """What such an entry holds. Raises msgspec.DecodeError."""
    return _decoder.decode(memoryview(data)[1:])


_decoder = msgspec.msgpack.Decoder(Entered)


def encode(configuration: Configuration) -> bytes:
    """For a snapshot."""
    return msgspec.msgpack.encode(configuration)


def decode(data: bytes) -> Configuration | None:
    """Out of a snapshot; None if it has none. Raises msgspec.DecodeError."""
    return Configuration.of(data) if data else None
