"""The state as etcd's own file: bbolt, with the buckets and encodings of etcd 3.5's backend. Both ways.

So `etcdctl snapshot status` reads what this store hands out, `etcdutl snapshot restore` makes a real etcd of it, and a
snapshot of a real etcd can be restored here. Beside etcd's buckets ours writes one more, `quorate`, with what etcd has
no place for; when reading, it counts only if nothing was written since (the applied index and the revision agree), for
an etcd that went on with the file keeps the bucket and does not know it.

Compat: the versions that survived a compaction are told apart by main and sub revision in etcd, by main revision and
key here; so sub revisions below the compacted one are counted anew, in the order of keys.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, cast

import msgspec

from kvstore.auth.store import AuthState, Permission, Role, User
from kvstore.bbolt.format import BadFile
from kvstore.bbolt.reader import Reader
from kvstore.bbolt.writer import Output, Writer
from kvstore.machine.snapshot import Head, State, StateReader, build
from kvstore.mvcc.kv import KeyValue
from kvstore.pb import auth_pb2, kv_pb2, lease_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.encode import encode_key_value
from kvstore.version import CLUSTER_VERSION

ALARM, AUTH, AUTH_ROLES, AUTH_USERS = b"alarm", b"auth", b"authRoles", b"authUsers"
CLUSTER, KEY, LEASE, MEMBERS = b"cluster", b"key", b"lease", b"members"
MEMBERS_REMOVED, META, OURS = b"members_removed", b"meta", b"quorate"

_REVISION = struct.Struct(">Q1sQ")
_NUMBER = struct.Struct(">Q")
_TOMBSTONE = b"t"


def write_etcd_file(chunks: Iterable[bytes], output: Output, *, term: int) -> int:
    """Turn a snapshot of the state machine into etcd's file; its size. Raises ValueError if `chunks` are damaged.

    What survived a compaction is sorted in memory; all else passes through.
    """
    state = StateReader(chunks)
    head = state.head()
    file = Writer(output)
    _bucket(file, ALARM, sorted(_alarms(head)))
    _bucket(file, AUTH, _auth(head.auth))
    _bucket(file, AUTH_ROLES, sorted(_roles(head.auth)))
    _bucket(file, AUTH_USERS, sorted(_users(head.auth)))
    _bucket(file, CLUSTER, [(b"clusterVersion", CLUSTER_VERSION.encode())])
    _bucket(file, KEY, _keys(head, state))
    state.finish()
    _bucket(file, LEASE, sorted(_leases(head)))
    _bucket(file, MEMBERS, sorted(_members(head)))
    _bucket(file, MEMBERS_REMOVED, ())
    _bucket(file, META, sorted(_meta(head, term)))
    _bucket(file, OURS, [(b"head", msgspec.msgpack.encode(head))])
    return file.close()


def _bucket(file: Writer, name: bytes, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    file.begin(name)
    for key, value in pairs:
        file.put(key, value)
    file.end()


def _revision(main: int, sub: int) -> bytes:
    return _REVISION.pack(main, b"_", sub)


def _keys(head: Head, state: StateReader) -> Iterator[tuple[bytes, bytes]]:
    survivors = sorted(state.base(), key=lambda kv: (kv.mod_revision, kv.key))
    for main, group in groupby(survivors, key=lambda kv: kv.mod_revision):
        for sub, kv in enumerate(group):
            yield _revision(main, sub), encode_key_value(kv)
    for kvs in state.revisions():
        for sub, kv in enumerate(kvs):
            if kv.mod_revision <= head.compact_revision:
                # In the base already, or gone.
                continue
            name = _revision(kv.mod_revision, sub)
            if kv.version:
                yield name, encode_key_value(kv)
            else:
                yield name + _TOMBSTONE, encode_key_value(KeyValue(kv.key))


def _alarms(head: Head) -> Iterator[tuple[bytes, bytes]]:
    for member_id, alarm in head.alarms:
        yield _encoded_alarm(member_id, alarm), b""


def _encoded_alarm(member_id: int, alarm: int) -> bytes:
    return pb.AlarmMember(memberID=member_id, alarm=cast("pb.AlarmType", alarm)).SerializeToString()


def _auth(auth: AuthState) -> list[tuple[bytes, bytes]]:
    enabled = b"\x01" if auth.is_enabled else b"\x00"
    return [(b"authEnabled", enabled), (b"authRevision", _NUMBER.pack(auth.revision))]


def _roles(auth: AuthState) -> Iterator[tuple[bytes, bytes]]:
    for role in auth.roles:
        message = auth_pb2.Role(name=role.name.encode())
        for one in role.permissions:
            message.keyPermission.add(
                permType=cast("auth_pb2.Permission.Type", one.kind),
                key=one.key,
                range_end=one.range_end,
            )
        yield role.name.encode(), message.SerializeToString()


def _users(auth: AuthState) -> Iterator[tuple[bytes, bytes]]:
    for user in auth.users:
        message = auth_pb2.User(
            name=user.name.encode(),
            password=user.password,
            roles=user.roles,
            options=auth_pb2.UserAddOptions(no_password=user.has_no_password),
        )
        yield user.name.encode(), message.SerializeToString()


def _leases(head: Head) -> Iterator[tuple[bytes, bytes]]:
    for lease_id, ttl, remaining in head.leases:
        message = lease_pb2.Lease(ID=lease_id, TTL=ttl, RemainingTTL=remaining)
        yield _NUMBER.pack(lease_id & 0xFFFF_FFFF_FFFF_FFFF), message.SerializeToString()


def _members(head: Head) -> Iterator[tuple[bytes, bytes]]:
    peer_urls = dict(head.peer_urls)
    for member_id, name, client_urls in head.members:
        document: dict[str, Any] = {"id": member_id, "peerURLs": peer_urls.get(member_id, ())}
        document |= {"name": name, "clientURLs": client_urls}
        yield b"%x" % member_id, json.dumps(document).encode()


def _meta(head: Head, term: int) -> Iterator[tuple[bytes, bytes]]:
    voters = [member_id for member_id, _, _ in head.members]
    yield b"confState", json.dumps({"voters": voters, "auto_leave": False}).encode()
    yield b"consistent_index", _NUMBER.pack(head.applied_index)
    yield b"term", _NUMBER.pack(term)
    if head.compact_revision:
        yield b"finishedCompactRev", _revision(head.compact_revision, 0)
        yield b"scheduledCompactRev", _revision(head.compact_revision, 0)


def read_etcd_file(file: Reader) -> State:
    """The state in a snapshot of etcd, or in one of ours. Raises ValueError, which says what is wrong."""
    if KEY not in file.names or META not in file.names:
        raise BadFile("a bbolt file, but not etcd's: it has no bucket `key` or `meta`")
    meta = dict(file.items(META))
    applied_index = _number(meta.get(b"consistent_index", b""))
    compact_revision = max(
        _revision_of(meta.get(name, b""))
        for name in (b"finishedCompactRev", b"scheduledCompactRev")
    )
    base, revisions, newest = _versions(file, compact_revision)
    head = _own_head(file, applied_index, newest)
    if head is None:
        head = Head(
            applied_index=applied_index,
            revision=newest,
            compact_revision=compact_revision,
            leases=list(_read_leases(file)),
            alarms=[_read_alarm(key) for key, _ in file.items(ALARM)],
            auth=_read_auth(file),
        )
    return build(head, base, revisions)


def _own_head(file: Reader, applied_index: int, revision: int) -> Head | None:
    data = dict(file.items(OURS)).get(b"head")
    if data is None:
        return None
    try:
        head = msgspec.msgpack.decode(data, type=Head)
    except msgspec.DecodeError as error:
        raise BadFile(f"bucket quorate is damaged: {error}") from error
    return head if (head.applied_index, head.revision) == (applied_index, revision) else None


def _versions(
    file: Reader, compact_revision: int
) -> tuple[list[KeyValue], list[list[KeyValue]], int]:
    """What survived the compaction, what was written since by revision, and the newest revision."""
    base: dict[bytes, KeyValue] = {}
    revisions: list[list[KeyValue]] = [[]]
    first = newest = max(1, compact_revision)
    for name, value in file.items(KEY):
        main = _revision_of(name)
        kv = _key_value(value, main, is_tombstone=name[_REVISION.size :] == _TOMBSTONE)
        if main <= compact_revision:
            if kv.version:
                base[kv.key] = kv
            else:
                base.pop(kv.key, None)
            if main == compact_revision:
                revisions[0].append(kv)
            continue
        if main not in (newest, newest + 1) or main <= first:
            raise BadFile(f"revision {newest + 1} is missing before {main}")
        if main > newest:
            revisions.append([])
            newest = main
        revisions[-1].append(kv)
    return list(base.values()), revisions, newest


def _key_value(data: bytes, main: int, *, is_tombstone: bool) -> KeyValue:
    try:
        kv = kv_pb2.KeyValue.FromString(data)
    except Exception as error:
        raise BadFile(f"revision {main} holds no KeyValue") from error
    if is_tombstone:
        return KeyValue(kv.key, mod_revision=main)
    if kv.mod_revision != main or not kv.version:
        raise BadFile(f"revision {main} holds a version of revision {kv.mod_revision}")
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _revision_of(name: bytes) -> int:
    if not name:
        return 0
    if len(name) < _REVISION.size:
        raise BadFile(f"{name!r} is no revision")
    return int(_REVISION.unpack_from(name)[0])


def _read_leases(file: Reader) -> Iterator[tuple[int, int, int]]:
    for _, value in file.items(LEASE):
        lease = lease_pb2.Lease.FromString(value)
        yield lease.ID, lease.TTL, lease.RemainingTTL


def _read_alarm(key: bytes) -> tuple[int, int]:
    message = pb.AlarmMember.FromString(key)
    return message.memberID, int(message.alarm)


def _read_auth(file: Reader) -> AuthState:
    values = dict(file.items(AUTH))
    roles = []
    for _, value in file.items(AUTH_ROLES):
        role = auth_pb2.Role.FromString(value)
        permissions = tuple(
            Permission(int(one.permType), one.key, one.range_end) for one in role.keyPermission
        )
        roles.append(Role(role.name.decode(), permissions))
    users = []
    for _, value in file.items(AUTH_USERS):
        user = auth_pb2.User.FromString(value)
        users.append(
            User(
                user.name.decode(),
                user.password,
                tuple(user.roles),
                user.options.no_password,
            )
        )
    return AuthState(
        is_enabled=values.get(b"authEnabled") == b"\x01",
        secret=_secret(file),
        revision=_number(values.get(b"authRevision", b"")) or 1,
        users=tuple(users),
        roles=tuple(roles),
    )


def _secret(file: Reader) -> bytes:
    """What members sign with among each other: etcd's file has none, and all must make the same one of it."""
    digest = hashlib.sha256(b"quorate members\n")
    for bucket in (AUTH_USERS, KEY):
        for key, value in file.items(bucket):
            digest.update(key)
            digest.update(value)
    return digest.digest()
