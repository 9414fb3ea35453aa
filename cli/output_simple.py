"""The simple form: etcdctl's default, for people and for shell scripts."""

from collections.abc import Sequence

from cli.output import (
    Health,
    Printer,
    SnapshotStatus,
    boolean,
    go_duration,
    lines,
    member_rows,
    shown,
    snapshot_row,
    status_row,
)
from kvstore.client.ops import prefix_end
from kvstore.client.types import (
    Alarms,
    Answer,
    AuthStatus,
    DeleteResult,
    Hash,
    KeyValue,
    LeaseAlive,
    LeaseGrant,
    LeaseIds,
    LeaseInfo,
    Member,
    MemberList,
    OpResult,
    Permission,
    PermissionType,
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


class SimplePrinter(Printer):
    """For people and for shell scripts."""

    form = "simple"

    def _pair(self, kv: KeyValue) -> bytes:
        key = b"" if self.value_only else shown(kv.key, self.is_hex) + b"\n"
        return key + shown(kv.value, self.is_hex) + b"\n"

    def range(self, result: RangeResult) -> bytes:
        """Keys and values, a line each."""
        return b"".join(self._pair(kv) for kv in result.kvs)

    def put(self, result: PutResult) -> bytes:
        """OK, and the previous pair."""
        return b"OK\n" + (self._pair(result.prev_kv) if result.prev_kv else b"")

    def delete(self, result: DeleteResult) -> bytes:
        """The number of keys, and the previous pairs."""
        return b"%d\n" % result.deleted + b"".join(self._pair(kv) for kv in result.prev_kvs)

    def txn(self, result: TxnResult) -> bytes:
        """SUCCESS or FAILURE, and each operation's own output."""
        parts = [b"SUCCESS\n" if result.succeeded else b"FAILURE\n"]
        parts += [b"\n" + self._operation(response) for response in result.responses]
        return b"".join(parts)

    def _operation(self, result: OpResult) -> bytes:
        match result:
            case RangeResult():
                return self.range(result)
            case PutResult():
                return self.put(result)
            case DeleteResult():
                return self.delete(result)
            case TxnResult():
                return self.txn(result)

    def watch(self, batch: WatchBatch) -> bytes:
        """PUT or DELETE, the previous pair if asked for, and the pair."""
        parts = []
        for event in batch.events:
            parts.append(event.type.encode() + b"\n")
            if event.prev_kv is not None:
                parts.append(self._pair(event.prev_kv))
            parts.append(self._pair(event.kv))
        return b"".join(parts)

    def lease_grant(self, result: LeaseGrant) -> bytes:
        """The new id."""
        return lines([f"lease {result.id:016x} granted with TTL({result.ttl}s)"])

    def lease_revoke(self, lease_id: int, result: Answer) -> bytes:
        """A confirmation."""
        return lines([f"lease {lease_id:016x} revoked"])

    def lease_alive(self, result: LeaseAlive) -> bytes:
        """The time to live after a renewal."""
        return lines([f"lease {result.id:016x} keepalived with TTL({result.ttl})"])

    def lease_info(self, result: LeaseInfo, with_keys: bool) -> bytes:
        """What was granted and what is left."""
        if result.granted_ttl == 0 and result.ttl == -1:
            return lines([f"lease {result.id:016x} already expired"])
        text = f"lease {result.id:016x} granted with TTL({result.granted_ttl}s), remaining({result.ttl}s)"
        if not with_keys:
            return lines([text])
        return f"{text}, attached keys([".encode() + b" ".join(result.keys) + b"])\n"

    def lease_list(self, result: LeaseIds) -> bytes:
        """The number of leases, and their ids."""
        return lines([f"found {len(result.ids)} leases", *(f"{one:016x}" for one in result.ids)])

    def member_list(self, result: MemberList) -> bytes:
        """A line per member."""
        return lines([", ".join(row) for row in member_rows(result)])

    def member_add(self, result: MemberList, name: str) -> bytes:
        """The new id, and the environment the new member must be started with."""
        added = result.member or Member(0, "", (), ())
        cluster = [
            f"{name if member.id == added.id else member.name}={url}"
            for member in result.members
            for url in member.peer_urls
        ]
        return lines(
            [
                f"Member {added.id:16x} added to cluster {result.header.cluster_id:16x}",
                "",
                f'ETCD_NAME="{name}"',
                f'ETCD_INITIAL_CLUSTER="{",".join(cluster)}"',
                f'ETCD_INITIAL_ADVERTISE_PEER_URLS="{",".join(added.peer_urls)}"',
                'ETCD_INITIAL_CLUSTER_STATE="existing"',
            ]
        )

    def member_remove(self, member_id: int, result: MemberList) -> bytes:
        """A confirmation."""
        return lines(
            [f"Member {member_id:16x} removed from cluster {result.header.cluster_id:16x}"]
        )

    def status(self, rows: Sequence[tuple[str, Status]]) -> bytes:
        """A line per endpoint."""
        return lines([", ".join(status_row(*row)) for row in rows])

    def health(self, rows: Sequence[Health]) -> bytes:
        """A line per endpoint."""
        return lines(
            [
                f"{row.endpoint} is unhealthy: failed to commit proposal: {row.error}"
                if row.error
                else f"{row.endpoint} is healthy: successfully committed proposal: "
                f"took = {go_duration(row.took_seconds)}"
                for row in rows
            ]
        )

    def hashes(self, rows: Sequence[tuple[str, Hash]]) -> bytes:
        """A line per endpoint."""
        return lines([f"{endpoint}, {result.hash}" for endpoint, result in rows])

    def alarms(self, result: Alarms) -> bytes:
        """A line per alarm."""
        # Compat: the space at the end is etcdctl's.
        return lines([f"memberID:{member} alarm:{kind.name} " for member, kind in result.alarms])

    def member_changed(self, member_id: int, verb: str, result: MemberList) -> bytes:
        """A confirmation."""
        return lines([f"Member {member_id:16x} {verb} in cluster {result.header.cluster_id:16x}"])

    def move_leader(self, before: int, target: int, result: Answer) -> bytes:
        """From whom to whom."""
        return lines([f"Leadership transferred from {before:x} to {target:x}"])

    def confirmed(self, sentence: str, result: Answer) -> bytes:
        """The sentence."""
        return f"{sentence}\n".encode()

    def user(self, name: str, result: UserRoles) -> bytes:
        """Its name and its roles."""
        return lines([f"User: {name}", "Roles:" + "".join(f" {one}" for one in result.roles)])

    def users(self, result: UserList) -> bytes:
        """A line per user."""
        return lines(result.users)

    def role(self, name: str, result: RolePermissions) -> bytes:
        """What may be read, then what may be written."""
        parts = [f"Role {name}\n".encode()]
        for title, refused in (("Read", PermissionType.WRITE), ("Write", PermissionType.READ)):
            parts.append(f"KV {title}:\n".encode())
            parts += [_permission(one) for one in result.permissions if one.type != refused]
        return b"".join(parts)

    def roles(self, result: RoleList) -> bytes:
        """A line per role."""
        return lines(result.roles)

    def auth_status(self, result: AuthStatus) -> bytes:
        """On or off, and the number of changes."""
        return lines(
            [
                f"Authentication Status: {boolean(result.enabled)}",
                f"AuthRevision: {result.auth_revision}",
            ]
        )

    def snapshot_status(self, result: SnapshotStatus) -> bytes:
        """One line."""
        return lines([", ".join(snapshot_row(result))])


def _permission(one: Permission) -> bytes:
    if not one.range_end:
        return b"\t" + one.key + b"\n"
    if one.range_end == b"\0":
        text = b"\t[" + one.key + b", <open ended>"
    else:
        text = b"\t[" + one.key + b", " + one.range_end + b")"
    if one.key and prefix_end(one.key) == one.range_end:
        text += b" (prefix " + one.key + b")"
    return text + b"\n"
