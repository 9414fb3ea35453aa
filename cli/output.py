"""What `quorate kv` prints: etcdctl's four forms of the client's results.

A printer turns results into bytes and prints nothing itself. `Printer` knows no form and refuses all; the forms are in
`output_*.py`, what several of them share is here. Scripts read this output, so it is compared byte for byte with
etcdctl's in tests/integration/test_kv_output.py. Where etcdctl 3.4 differs from 3.5 (`Deleted` in fields, health of
endpoints on stderr) the newer one counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kvstore.client.types import (
    Alarms,
    Answer,
    AuthStatus,
    DeleteResult,
    Hash,
    LeaseAlive,
    LeaseGrant,
    LeaseIds,
    LeaseInfo,
    MemberList,
    PutResult,
    RangeResult,
    RoleList,
    RolePermissions,
    Status,
    TxnResult,
    UserList,
    UserRoles,
    WatchBatch,
)


class UnsupportedOutputError(Exception):
    """This form has no words for this command."""

    def __init__(self, form: str) -> None:
        super().__init__(f"{form} not supported as output format")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an endpoint could serve a linearizable read, and how long it took; `error` empty if it could."""

    endpoint: str
    took_seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """What a snapshot file holds: digest, last revision, number of keys, bytes."""

    hash: int
    revision: int
    total_keys: int
    total_size: int


def go_duration(seconds: float) -> str:
    """A length of time as Go prints it: 907.52µs, 1.5s, 1m2s."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds >= 60_000_000_000:
        minutes, rest = divmod(nanoseconds, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        return f"{f'{hours}h' if hours else ''}{minutes}m{_trimmed(rest, 9)}s"
    for digits, unit in ((9, "s"), (6, "ms"), (3, "µs")):
        if nanoseconds >= 10**digits:
            return _trimmed(nanoseconds, digits) + unit
    return f"{nanoseconds}ns" if nanoseconds else "0s"


def _trimmed(number: int, digits: int) -> str:
    whole, fraction = divmod(number, 10**digits)
    text = f"{fraction:0{digits}d}".rstrip("0")
    return f"{whole}.{text}" if text else str(whole)


def human_bytes(size: int) -> str:
    """A size in powers of 1000: 20 kB, 1.2 MB."""
    if size < 10:
        return f"{size} B"
    exponent = min(int(math.log(size, 1000)), 6)
    value = math.floor(size / 1000**exponent * 10 + 0.5) / 10
    unit = ("B", "kB", "MB", "GB", "TB", "PB", "EB")[exponent]
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def shown(data: bytes, is_hex: bool) -> bytes:
    r"""A key or a value as it is, or as \x61\x62."""
    return b"".join(b"\\x%02x" % byte for byte in data) if is_hex else data


class Printer:
    """Refuses everything; a form overrides what it can say. All methods return the bytes to print."""

    form = "none"

    def __init__(self, *, is_hex: bool = False, value_only: bool = False) -> None:
        self.is_hex = is_hex
        self.value_only = value_only

    def _refuse(self) -> UnsupportedOutputError:
        return UnsupportedOutputError(self.form)

    def range(self, result: RangeResult) -> bytes:
        """Keys of a range."""
        raise self._refuse()

    def put(self, result: PutResult) -> bytes:
        """A put."""
        raise self._refuse()

    def delete(self, result: DeleteResult) -> bytes:
        """A deletion."""
        raise self._refuse()

    def txn(self, result: TxnResult) -> bytes:
        """A transaction."""
        raise self._refuse()

    def watch(self, batch: WatchBatch) -> bytes:
        """Events, or progress."""
        raise self._refuse()

    def lease_grant(self, result: LeaseGrant) -> bytes:
        """A new lease."""
        raise self._refuse()

    def lease_revoke(self, lease_id: int, result: Answer) -> bytes:
        """A revoked lease."""
        raise self._refuse()

    def lease_alive(self, result: LeaseAlive) -> bytes:
        """A renewed lease."""
        raise self._refuse()

    def lease_info(self, result: LeaseInfo, with_keys: bool) -> bytes:
        """What is left of a lease."""
        raise self._refuse()

    def lease_list(self, result: LeaseIds) -> bytes:
        """All leases."""
        raise self._refuse()

    def member_list(self, result: MemberList) -> bytes:
        """All members."""
        raise self._refuse()

    def member_add(self, result: MemberList, name: str) -> bytes:
        """A new member."""
        raise self._refuse()

    def member_remove(self, member_id: int, result: MemberList) -> bytes:
        """A removed member."""
        raise self._refuse()

    def status(self, rows: Sequence[tuple[str, Status]]) -> bytes:
        """State of endpoints."""
        raise self._refuse()

    def health(self, rows: Sequence[Health]) -> bytes:
        """Health of endpoints."""
        raise self._refuse()

    def hashes(self, rows: Sequence[tuple[str, Hash]]) -> bytes:
        """Digests of endpoints."""
        raise self._refuse()

    def alarms(self, result: Alarms) -> bytes:
        """Raised alarms."""
        raise self._refuse()

    def member_changed(self, member_id: int, verb: str, result: MemberList) -> bytes:
        """A member that was "updated" or "promoted"."""
        raise self._refuse()

    def move_leader(self, before: int, target: int, result: Answer) -> bytes:
        """Leadership handed over."""
        raise self._refuse()

    def confirmed(self, sentence: str, result: Answer) -> bytes:
        """A change of users or roles, which `sentence` tells."""
        raise self._refuse()

    def user(self, name: str, result: UserRoles) -> bytes:
        """One user."""
        raise self._refuse()

    def users(self, result: UserList) -> bytes:
        """All users."""
        raise self._refuse()

    def role(self, name: str, result: RolePermissions) -> bytes:
        """One role."""
        raise self._refuse()

    def roles(self, result: RoleList) -> bytes:
        """All roles."""
        raise self._refuse()

    def auth_status(self, result: AuthStatus) -> bytes:
        """Whether authentication is on."""
        raise self._refuse()

    def snapshot_status(self, result: SnapshotStatus) -> bytes:
        """What a snapshot file holds."""
        raise self._refuse()


def status_row(endpoint: str, status: Status) -> list[str]:
    """The columns of an endpoint's status."""
    return [
        endpoint,
        f"{status.header.member_id:x}",
        status.version,
        human_bytes(status.db_size),
        boolean(status.is_leader),
        boolean(status.is_learner),
        str(status.raft_term),
        str(status.raft_index),
        str(status.raft_applied_index),
        ", ".join(status.errors),
    ]


def member_rows(result: MemberList) -> list[list[str]]:
    """The columns of the members."""
    return [
        [
            f"{member.id:x}",
            "started" if member.name else "unstarted",
            member.name,
            ",".join(member.peer_urls),
            ",".join(member.client_urls),
            boolean(member.is_learner),
        ]
        for member in result.members
    ]


def boolean(value: bool) -> str:
    """As Go prints it."""
    return "true" if value else "false"


def lines(texts: Sequence[str]) -> bytes:
    """The texts, a line each."""
    return "".join(text + "\n" for text in texts).encode()


def snapshot_row(status: SnapshotStatus) -> list[str]:
    """The columns of a snapshot's status."""
    return [
        f"{status.hash:x}",
        str(status.revision),
        str(status.total_keys),
        human_bytes(status.total_size),
    ]
