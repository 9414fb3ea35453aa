"""The form of output that programs read: JSON as Go writes it.

Go leaves out fields that are zero where etcd's structures say so, writes bytes as base64 and escapes < > & in
strings. The upper and lower case of the names is etcd's own mix: some answers are printed from its wire messages,
some from its client library's structures.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

from cli.output import Health, Printer, SnapshotStatus, go_duration
from kvstore.client.types import (
    Alarms,
    Answer,
    AuthStatus,
    DeleteResult,
    Hash,
    Header,
    KeyValue,
    LeaseAlive,
    LeaseGrant,
    LeaseIds,
    LeaseInfo,
    MemberList,
    OpResult,
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


def go_json(value: Any) -> bytes:
    """One line of JSON with Go's escapes."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode() + b"\n"


def go_quote(data: bytes) -> str:
    """A string in double quotes as Go's %q writes it."""
    named = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
    parts = ['"']
    for character in data.decode("utf-8", errors="surrogateescape"):
        code = ord(character)
        if code in named:
            parts.append("\\" + named[code])
        elif 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif character == " " or character.isprintable():
            parts.append(character)
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        else:
            parts.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(parts) + '"'


def _filled(**fields: Any) -> dict[str, Any]:
    """Without what Go calls empty."""
    return {
        name: value for name, value in fields.items() if value not in (0, "", False, None, [], {})
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def json_header(header: Header) -> dict[str, Any]:
    """The header as etcd's wire message prints it."""
    return _filled(
        cluster_id=header.cluster_id,
        member_id=header.member_id,
        revision=header.revision,
        raft_term=header.raft_term,
    )


def _pair(kv: KeyValue | None) -> dict[str, Any] | None:
    if kv is None:
        return None
    return _filled(
        key=_base64(kv.key),
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=_base64(kv.value),
        lease=kv.lease,
    )


def _operation(result: OpResult) -> dict[str, Any]:
    fields: dict[str, Any] = {"header": json_header(result.header)}
    match result:
        case RangeResult():
            kvs = [_pair(kv) for kv in result.kvs]
            return fields | _filled(kvs=kvs, more=result.more, count=result.count)
        case PutResult():
            return fields | _filled(prev_kv=_pair(result.prev_kv))
        case DeleteResult():
            previous = [_pair(kv) for kv in result.prev_kvs]
            return fields | _filled(deleted=result.deleted, prev_kvs=previous)
        case TxnResult():
            responses = [
                {"Response": {_union_name(response): _operation(response)}}
                for response in result.responses
            ]
            return fields | _filled(succeeded=result.succeeded, responses=responses)


def _union_name(result: OpResult) -> str:
    match result:
        case RangeResult():
            return "response_range"
        case PutResult():
            return "response_put"
        case DeleteResult():
            return "response_delete_range"
        case TxnResult():
            return "response_txn"


def _members(result: MemberList) -> list[dict[str, Any]]:
    return [
        _filled(
            ID=member.id,
            name=member.name,
            peerURLs=list(member.peer_urls),
            clientURLs=list(member.client_urls),
            isLearner=member.is_learner,
        )
        for member in result.members
    ]


class JsonPrinter(Printer):
    """One line of JSON per answer."""

    form = "json"

    def range(self, result: RangeResult) -> bytes:
        """The wire message."""
        return go_json(_operation(result))

    def put(self, result: PutResult) -> bytes:
        """The wire message."""
        return go_json(_operation(result))

    def delete(self, result: DeleteResult) -> bytes:
        """The wire message."""
        return go_json(_operation(result))

    def txn(self, result: TxnResult) -> bytes:
        """The wire message."""
        return go_json(_operation(result))

    def watch(self, batch: WatchBatch) -> bytes:
        """The structure of etcd's client library."""
        events = [
            _filled(
                type=int(event.type == "DELETE"), kv=_pair(event.kv), prev_kv=_pair(event.prev_kv)
            )
            for event in batch.events
        ]
        rest = {"CompactRevision": 0, "Canceled": False, "Created": False}
        return go_json({"Header": json_header(batch.header), "Events": events, **rest})

    def lease_grant(self, result: LeaseGrant) -> bytes:
        """Header and lease in one level."""
        return go_json(
            {**json_header(result.header), "ID": result.id, "TTL": result.ttl, "Error": ""}
        )

    def lease_revoke(self, lease_id: int, result: Answer) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)})

    def lease_alive(self, result: LeaseAlive) -> bytes:
        """Header and lease in one level."""
        return go_json({**json_header(result.header), "ID": result.id, "TTL": result.ttl})

    def lease_info(self, result: LeaseInfo, with_keys: bool) -> bytes:
        """Header and lease in one level."""
        keys = [_base64(key) for key in result.keys] or None
        rest = {"id": result.id, "ttl": result.ttl, "granted-ttl": result.granted_ttl, "keys": keys}
        return go_json({**json_header(result.header), **rest})

    def lease_list(self, result: LeaseIds) -> bytes:
        """Header and ids in one level."""
        return go_json(
            {**json_header(result.header), "leases": [{"id": one} for one in result.ids]}
        )

    def member_list(self, result: MemberList) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header), "members": _members(result)})

    def member_add(self, result: MemberList, name: str) -> bytes:
        """The wire message."""
        members = _members(result)
        new = next((m for m in members if result.member and m["ID"] == result.member.id), None)
        return go_json({"header": json_header(result.header), "member": new, "members": members})

    def member_remove(self, member_id: int, result: MemberList) -> bytes:
        """The wire message."""
        return self.member_list(result)

    def status(self, rows: Sequence[tuple[str, Status]]) -> bytes:
        """A list of endpoints with their wire messages."""
        return go_json(
            [
                {
                    "Endpoint": endpoint,
                    "Status": {"header": json_header(status.header)}
                    | _filled(
                        version=status.version,
                        dbSize=status.db_size,
                        leader=status.leader,
                        raftIndex=status.raft_index,
                        raftTerm=status.raft_term,
                        raftAppliedIndex=status.raft_applied_index,
                        errors=list(status.errors),
                        dbSizeInUse=status.db_size_in_use,
                        isLearner=status.is_learner,
                    ),
                }
                for endpoint, status in rows
            ]
        )

    def health(self, rows: Sequence[Health]) -> bytes:
        """A list of endpoints."""
        return go_json(
            [
                {
                    "endpoint": row.endpoint,
                    "health": not row.error,
                    "took": go_duration(row.took_seconds),
                }
                | _filled(error=row.error)
                for row in rows
            ]
        )

    def hashes(self, rows: Sequence[tuple[str, Hash]]) -> bytes:
        """A list of endpoints with their wire messages."""
        return go_json(
            [
                {
                    "Endpoint": endpoint,
                    "HashKV": {"header": json_header(result.header)}
                    | _filled(hash=result.hash, compact_revision=result.compact_revision),
                }
                for endpoint, result in rows
            ]
        )

    def member_changed(self, member_id: int, verb: str, result: MemberList) -> bytes:
        """The wire message."""
        return self.member_list(result)

    def move_leader(self, before: int, target: int, result: Answer) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)})

    def confirmed(self, sentence: str, result: Answer) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)})

    def user(self, name: str, result: UserRoles) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)} | _filled(roles=list(result.roles)))

    def users(self, result: UserList) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)} | _filled(users=list(result.users)))

    def role(self, name: str, result: RolePermissions) -> bytes:
        """The wire message."""
        rights = [
            _filled(permType=int(one.type), key=_base64(one.key), range_end=_base64(one.range_end))
            for one in result.permissions
        ]
        return go_json({"header": json_header(result.header)} | _filled(perm=rights))

    def roles(self, result: RoleList) -> bytes:
        """The wire message."""
        return go_json({"header": json_header(result.header)} | _filled(roles=list(result.roles)))

    def auth_status(self, result: AuthStatus) -> bytes:
        """The wire message."""
        return go_json(
            {"header": json_header(result.header)}
            | _filled(enabled=result.enabled, authRevision=result.auth_revision)
        )

    def snapshot_status(self, result: SnapshotStatus) -> bytes:
        """An object."""
        return go_json(
            {
                "hash": result.hash,
                "revision": result.revision,
                "totalKey": result.total_keys,
                "totalSize": result.total_size,
            }
        )

    def alarms(self, result: Alarms) -> bytes:
        """The wire message."""
        alarms = [_filled(memberID=member, alarm=int(kind)) for member, kind in result.alarms]
        return go_json(_filled(header=json_header(result.header), alarms=alarms))
