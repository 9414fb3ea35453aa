"""The form of output with a line per field, for scripts that read lines."""

from collections.abc import Sequence
from typing import Any

from cli.output import Health, Printer, SnapshotStatus, go_duration
from cli.output_data import go_quote
from kvstore.client.types import (
    Alarms,
    Answer,
    DeleteResult,
    Hash,
    KeyValue,
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
    WatchBatch,
)


class FieldsPrinter(Printer):
    """A line per field: "Name" : value."""

    form = "fields"

    def range(self, result: RangeResult) -> bytes:
        """All pairs, then what concerns them together."""
        lines = [line for kv in result.kvs for line in self._pair("", kv)]
        return self._answer(result, *lines, ("More", result.more), ("Count", result.count))

    def put(self, result: PutResult) -> bytes:
        """The header, and the previous pair."""
        return self._answer(result, *(self._pair("Prev", result.prev_kv) if result.prev_kv else ()))

    def delete(self, result: DeleteResult) -> bytes:
        """The number of keys, and the previous pairs."""
        previous = [line for kv in result.prev_kvs for line in self._pair("Prev", kv)]
        return self._answer(result, ("Deleted", result.deleted), *previous)

    def txn(self, result: TxnResult) -> bytes:
        """Whether the condition held, and each operation's own output."""
        parts = [self._answer(result, ("Succeeded", result.succeeded))]
        for response in result.responses:
            match response:
                case RangeResult():
                    parts.append(self.range(response))
                case PutResult():
                    parts.append(self.put(response))
                case DeleteResult():
                    parts.append(self.delete(response))
                case TxnResult():
                    parts.append(self.txn(response))
        return b"".join(parts)

    def watch(self, batch: WatchBatch) -> bytes:
        """The header, then each event."""
        lines: list[tuple[str, Any]] = []
        for event in batch.events:
            lines.append(("Type", _Bare(event.type)))
            if event.prev_kv is not None:
                lines += self._pair("Prev", event.prev_kv)
            lines += self._pair("", event.kv)
        return self._answer(batch, *lines)

    def lease_grant(self, result: LeaseGrant) -> bytes:
        """Header, id, seconds."""
        return self._answer(result, ("ID", result.id), ("TTL", result.ttl))

    def lease_revoke(self, lease_id: int, result: Answer) -> bytes:
        """The header."""
        return self._answer(result)

    def lease_alive(self, result: LeaseAlive) -> bytes:
        """Header, id, seconds."""
        return self._answer(result, ("ID", result.id), ("TTL", result.ttl))

    def lease_info(self, result: LeaseInfo, with_keys: bool) -> bytes:
        """What was granted, what is left, and the keys."""
        lines = [("ID", result.id), ("TTL", result.ttl), ("GrantedTTL", result.granted_ttl)]
        return self._answer(result, *lines, *(("Key", key) for key in result.keys))

    def lease_list(self, result: LeaseIds) -> bytes:
        """Header and ids."""
        return self._answer(result, *(("ID", one) for one in result.ids))

    def member_list(self, result: MemberList) -> bytes:
        """The members, an empty line after each."""
        parts = [self._answer(result)]
        for member in result.members:
            lines: list[tuple[str, Any]] = [("ID", member.id), ("Name", member.name.encode())]
            lines += [("PeerURL", url.encode()) for url in member.peer_urls]
            lines += [("ClientURL", url.encode()) for url in member.client_urls]
            parts.append(_fields([*lines, ("IsLearner", member.is_learner)]) + b"\n")
        return b"".join(parts)

    def status(self, rows: Sequence[tuple[str, Status]]) -> bytes:
        """The endpoints, an empty line after each."""
        parts = []
        for endpoint, status in rows:
            lines = (
                ("Version", status.version.encode()),
                ("DBSize", status.db_size),
                ("Leader", status.leader),
                ("IsLearner", status.is_learner),
                ("RaftIndex", status.raft_index),
                ("RaftTerm", status.raft_term),
                ("RaftAppliedIndex", status.raft_applied_index),
                ("Errors", _Bare(f"[{' '.join(status.errors)}]")),
                ("Endpoint", endpoint.encode()),
            )
            parts.append(self._answer(status, *lines) + b"\n")
        return b"".join(parts)

    def health(self, rows: Sequence[Health]) -> bytes:
        """The endpoints, an empty line after each."""
        return b"".join(
            _fields(
                [
                    ("Endpoint", row.endpoint.encode()),
                    ("Health", not row.error),
                    ("Took", _Bare(go_duration(row.took_seconds))),
                    ("Error", _Bare(row.error)),
                ]
            )
            + b"\n"
            for row in rows
        )

    def hashes(self, rows: Sequence[tuple[str, Hash]]) -> bytes:
        """The endpoints, an empty line after each."""
        return b"".join(
            self._answer(result, ("Endpoint", endpoint.encode()), ("Hash", result.hash)) + b"\n"
            for endpoint, result in rows
        )

    def alarms(self, result: Alarms) -> bytes:
        """Header and alarms."""
        lines: list[tuple[str, Any]] = []
        for member, kind in result.alarms:
            lines += [("MemberID", member), ("AlarmType", _Bare(kind.name))]
        return self._answer(result, *lines)

    def member_remove(self, member_id: int, result: MemberList) -> bytes:
        """The header."""
        return self._answer(result)

    def member_changed(self, member_id: int, verb: str, result: MemberList) -> bytes:
        """The header."""
        return self._answer(result)

    def member_add(self, result: MemberList, name: str) -> bytes:
        """The header."""
        return self._answer(result)

    def move_leader(self, before: int, target: int, result: Answer) -> bytes:
        """The header."""
        return self._answer(result)

    def confirmed(self, sentence: str, result: Answer) -> bytes:
        """The header."""
        return self._answer(result)

    def role(self, name: str, result: RolePermissions) -> bytes:
        """The header, then each right."""
        lines: list[tuple[str, Any]] = []
        for one in result.permissions:
            # Compat: the second space is etcdctl's.
            lines += [("PermType", _Bare(f" {one.type.name}"))]
            lines += [("Key", one.key), ("RangeEnd", one.range_end)]
        return self._answer(result, *lines)

    def roles(self, result: RoleList) -> bytes:
        """The header, and the roles in one line."""
        names = "".join(f" {go_quote(one.encode())}" for one in result.roles)
        return self._answer(result) + f'"Roles" :{names}\n'.encode()

    def snapshot_status(self, result: SnapshotStatus) -> bytes:
        """A line per field."""
        return _fields(
            [
                ("Hash", result.hash),
                ("Revision", result.revision),
                ("Keys", result.total_keys),
                ("Size", result.total_size),
            ]
        )

    def _answer(self, answer: Answer, *lines: tuple[str, Any]) -> bytes:
        header = answer.header
        return _fields(
            [
                ("ClusterID", header.cluster_id),
                ("MemberID", header.member_id),
                ("Revision", header.revision),
                ("RaftTerm", header.raft_term),
                *lines,
            ]
        )

    def _pair(self, prefix: str, kv: KeyValue) -> list[tuple[str, Any]]:
        return [
            (f"{prefix}Key", kv.key),
            (f"{prefix}CreateRevision", kv.create_revision),
            (f"{prefix}ModRevision", kv.mod_revision),
            (f"{prefix}Version", kv.version),
            (f"{prefix}Value", kv.value),
            (f"{prefix}Lease", kv.lease),
        ]


class _Bare(str):
    """Printed without quotes."""

    __slots__ = ()


def _fields(lines: Sequence[tuple[str, Any]]) -> bytes:
    def shown(value: Any) -> str:
        if isinstance(value, bytes):
            return go_quote(value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return "".join(f'"{name}" : {shown(value)}\n' for name, value in lines).encode()
