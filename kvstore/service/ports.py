"""What the services read of the state machine: a structural view, so that tests can hand in a small one."""

from collections.abc import Mapping
from typing import Protocol

from kvstore.machine.commands import Range, Txn
from kvstore.machine.outcome import Event, RangeReply, TxnReply
from kvstore.mvcc.errors import StoreError


class LeaseView(Protocol):
    """A lease as the state machine knows it: no deadline, that is the leader's clock's."""

    @property
    def id(self) -> int:
        """Its id, never 0."""
        ...

    @property
    def ttl(self) -> int:
        """Granted seconds."""
        ...


class LessorView(Protocol):
    """All leases."""

    @property
    def leases(self) -> Mapping[int, LeaseView]:
        """By id."""
        ...


class HistoryView(Protocol):
    """Events by revision, until they are compacted."""

    def since(
        self, key: bytes, range_end: bytes, revision: int, limit_events: int
    ) -> list[tuple[int, tuple[Event, ...]]]:
        """Whole revisions from `revision` on, oldest first; stops after the one that reaches the limit."""
        ...


class MachineView(Protocol):
    """The state machine's reading side."""

    @property
    def revision(self) -> int:
        """Newest revision; 1 when empty."""
        ...

    @property
    def compact_revision(self) -> int:
        """History before this one is gone."""
        ...

    @property
    def size_bytes(self) -> int:
        """Logical size with history."""
        ...

    @property
    def alarms(self) -> set[tuple[int, int]]:
        """(member_id, alarm)."""
        ...

    @property
    def lessor(self) -> LessorView:
        """Leases."""
        ...

    @property
    def history(self) -> HistoryView:
        """Events."""
        ...

    @property
    def members(self) -> Mapping[int, tuple[str, tuple[str, ...]]]:
        """Name and client URLs by member id, as each member said."""
        ...

    @property
    def peer_urls(self) -> Mapping[int, tuple[str, ...]]:
        """Peer URLs of the members that have others than at their first start."""
        ...

    @property
    def downgrade_version(self) -> str:
        """The version that a downgrade is under way to; empty = none is."""
        ...

    def range(self, cmd: Range) -> RangeReply | StoreError:
        """Read."""
        ...

    def txn_readonly(self, txn: Txn) -> TxnReply | StoreError:
        """Run a transaction that writes nothing."""
        ...

    def settle(self, limit_versions: int) -> bool:
        """Do a part of what `digest` is owed; whether more is left."""
        ...

    def reclaim(self, limit_events: int = 4096) -> bool:
        """Free what compaction made unreachable, a bounded part; whether more is left."""
        ...

    def digest(self, revision: int) -> tuple[int, int]:
        """(hash of the state at `revision`, compacted revision); 0 = newest."""
        ...
