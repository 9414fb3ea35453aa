"""The Auth service, and every other service behind it, through the handlers that the front serves.

Each published bypass of etcd is an attack here. It must fail; and it must succeed once the very check that stops it is
taken out, or the attack would prove nothing.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from kvstore.auth import permissions
from kvstore.auth.passwords import Passwords
from kvstore.auth.store import AuthStore
from kvstore.auth.tokens import SimpleTokens, Tokens, make, parse_settings
from kvstore.base.clock import ManualClock
from kvstore.machine import access
from kvstore.machine.commands import Alarm, Compact, LeaseRevoke, MemberAttributes, Txn
from kvstore.machine.machine import StateMachine
from kvstore.pb import auth_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.raft.single import MEMBER, SingleReplicator
from kvstore.server.app import Streams, bind
from kvstore.server.auth import AuthServicer
from kvstore.server.cluster import ClusterServicer
from kvstore.server.encode import Encoder
from kvstore.server.header import Header
from kvstore.server.kv import KVServicer
from kvstore.server.lease import FORWARDED_HEADER, VOUCHED_HEADER, LeaseServicer
from kvstore.server.maintenance import MaintenanceServicer
from kvstore.server.watch import WatchServicer
from kvstore.service.auth import AuthService, TokenTable
from kvstore.service.cluster import ClusterService
from kvstore.service.expiry import LeaseClock
from kvstore.service.guard import SYSTEM, Guard
from kvstore.service.kv import KVService, Quota
from kvstore.service.lease import LeaseService, TimeToLive
from kvstore.service.proposer import ProposalLimits, Proposer
from kvstore.service.watch.hub import WatchHub
from kvstore.wire.engine import WireError

READ, WRITE, READWRITE = permissions.READ, permissions.WRITE, permissions.READWRITE


@dataclass
class Context:
    """A call's circumstances."""

    headers: dict[str, str] = field(default_factory=dict)
    common_name: str = ""
    peer: str = "test"

    def metadata(self, name: str) -> str | None:
        return self.headers.get(name)


ANYBODY = Context()


class NoPeer:
    async def keep_alive(self, *_: Any) -> int:
        raise AssertionError("this member leads")

    async def time_to_live(self, *_: Any) -> TimeToLive:
        raise AssertionError("this member leads")


class World:
    """One member without sockets."""

    def __init__(self, token_text: str = "simple") -> None:
        self.clock = ManualClock()
        self.machine = machine = StateMachine()
        replicator = SingleReplicator(machine)
        self.tokens: Tokens = make(
            parse_settings(token_text), self.clock, lambda: machine.applied_index, 0.05
        )
        table = TokenTable(machine.auth, self.tokens)
        self.guard = guard = Guard(
            machine.auth, machine.lessor, self.tokens, trusts_certificates=True
        )
        self.proposer = proposer = Proposer(replicator, ProposalLimits(), guard)
        self.hub = WatchHub(machine)
        self.lease_clock = LeaseClock(machine, proposer, self.clock)
        cluster = ClusterService(
            machine, replicator, proposer, cluster_id=1, peer_urls={MEMBER: ("http://m",)}
        )
        header = Header(1, MEMBER, lambda: 1, lambda: machine.revision)
        leases = LeaseService(
            machine,
            replicator,
            proposer,
            self.lease_clock,
            NoPeer(),
            guard,
            clock=self.clock,
            rng=random.Random(1),
            min_ttl_seconds=1,
        )
        lease = LeaseServicer(leases, header)
        maintenance = MaintenanceServicer(cluster, header, machine.snapshot, guard)
        quota = Quota(machine, proposer, MEMBER, 1 << 20)
        auth = AuthService(machine.auth, proposer, guard, self.tokens, Passwords(4))
        watch = WatchServicer(self.hub, header, Encoder(), guard, max_response_bytes=1 << 20)
        kv = KVServicer(
            KVService(machine, proposer, quota, guard), header, Encoder(), max_txn_ops=128
        )
        self.handlers = bind(
            unary=(
                kv,
                lease,
                ClusterServicer(cluster, header, guard),
                maintenance,
                AuthServicer(auth, header),
            ),
            stream=(lease, watch, maintenance),
            streams=Streams(replicator, self.clock, 1.0),
        )
        replicator.on_applied(self.hub.on_applied)
        replicator.on_applied(self.lease_clock.on_applied)
        replicator.on_applied(table.on_applied)
        replicator.on_leadership(self.lease_clock.on_leadership)
        machine.on_restore(table.on_restore)
        self.replicator = replicator
        self.users: dict[str, Context] = {"": ANYBODY}

    async def call(self, method: str, request: Any, caller: str | Context = "") -> Any:
        """One unary call; the response, or (code, text)."""
        context = self.users[caller] if isinstance(caller, str) else caller
        handler = self.handlers.unary[f"/etcdserverpb.{method}"]
        try:
            data = await handler(request.SerializeToString(), context)
        except WireError as error:
            return error.code, error.message
        name = type(request).__name__.removesuffix("Request") + "Response"
        return getattr(pb, name).FromString(data)

    async def stream(self, method: str, request: Any, caller: str | Context = "") -> Any:
        """The first answer on a stream, or (code, text)."""
        context = self.users[caller] if isinstance(caller, str) else caller
        first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def requests() -> AsyncIterator[bytes]:
            yield request.SerializeToString()
            await asyncio.Event().wait()

        async def send(data: bytes) -> None:
            if not first.done():
                first.set_result(data)

        async def serve() -> bytes:
            handler = self.handlers.stream[f"/etcdserverpb.{method}"]
            await handler(requests(), send, context)
            return b""

        serving = asyncio.ensure_future(serve())
        try:
            await asyncio.wait((serving, first), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        except WireError as error:
            return error.code, error.message
        finally:
            serving.cancel()
        return first.result()

    async def login(self, name: str, password: str = "") -> Any:
        response = await self.call(
            "Auth/Authenticate", pb.AuthenticateRequest(name=name, password=password or name)
        )
        if not isinstance(response, tuple):
            self.users[name] = Context({"token": response.token})
        return response

    async def must(self, method: str, request: Any, caller: str = "") -> Any:
        response = await self.call(method, request, caller)
        assert not isinstance(response, tuple), (method, response)
        return response


def grant(role: str, kind: int, key: bytes, range_end: bytes = b"") -> Any:
    permission = auth_pb2.Permission(permType=kind, key=key, range_end=range_end)  # type: ignore[arg-type]
    return pb.AuthRoleGrantPermissionRequest(name=role, perm=permission)


async def furnish(world: World) -> World:
    """`root`, and `al` who reads read*, writes write*, both; lease 7 holds secret, 8 holds both."""
    await world.replicator.start()
    await world.must("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=7, TTL=100))
    await world.must("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=8, TTL=100))
    await world.must("KV/Put", pb.PutRequest(key=b"secret", value=b"s", lease=7))
    await world.must("KV/Put", pb.PutRequest(key=b"both", value=b"b", lease=8))
    await world.must("KV/Put", pb.PutRequest(key=b"write1", value=b"w"))
    await world.must("KV/Put", pb.PutRequest(key=b"read1", value=b"r"))
    for name in ("root", "al"):
        await world.must("Auth/UserAdd", pb.AuthUserAddRequest(name=name, password=name))
    await world.must("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    await world.must("Auth/RoleAdd", pb.AuthRoleAddRequest(name="r"))
    await world.must("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="al", role="r"))
    await world.must("Auth/RoleGrantPermission", grant("r", READ, b"read", b"reae"))
    await world.must("Auth/RoleGrantPermission", grant("r", WRITE, b"write", b"writf"))
    await world.must("Auth/RoleGrantPermission", grant("r", READWRITE, b"both"))
    await world.must("Auth/AuthEnable", pb.AuthEnableRequest())
    await world.login("root")
    await world.login("al")
    return world


@pytest.fixture
async def world():
    made = await furnish(World())
    yield made
    made.machine.check_invariants()


def op(**kind: Any) -> pb.RequestOp:
    return pb.RequestOp(**{f"request_{name}": request for name, request in kind.items()})


def txn(*ops: pb.RequestOp, compare: Any = ()) -> pb.TxnRequest:
    return pb.TxnRequest(compare=compare, success=ops)


Attack = Callable[[World], Awaitable[bool]]
"""Whether it got through."""


def calling(method: str, request: Any, caller: str = "al") -> Attack:
    async def attack(world: World) -> bool:
        return not isinstance(await world.call(method, request, caller), tuple)

    return attack


def watching(request: pb.WatchCreateRequest, caller: str = "al") -> Attack:
    async def attack(world: World) -> bool:
        data = await world.stream("Watch/Watch", pb.WatchRequest(create_request=request), caller)
        return not pb.WatchResponse.FromString(data).canceled

    return attack


def keeping(lease_id: int, caller: str) -> Attack:
    async def attack(world: World) -> bool:
        answer = await world.stream(
            "Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest(ID=lease_id), caller
        )
        return not isinstance(answer, tuple)

    return attack


async def snapshotting(world: World) -> bool:
    answer = await world.stream("Maintenance/Snapshot", pb.SnapshotRequest(), "al")
    return not isinstance(answer, tuple)


async def forging(world: World) -> bool:
    """Say of oneself what only members may say of others."""
    context = Context({FORWARDED_HEADER: "1", VOUCHED_HEADER: f"{'0' * 64}:9:root"})
    request = pb.LeaseTimeToLiveRequest(ID=7, keys=True)
    return not isinstance(await world.call("Lease/LeaseTimeToLive", request, context), tuple)


async def unvouched(world: World) -> bool:
    """Come with a member's certificate, but say that the call is somebody else's."""
    context = Context({FORWARDED_HEADER: "1"}, common_name="root")
    request = pb.LeaseTimeToLiveRequest(ID=7, keys=True)
    return not isinstance(await world.call("Lease/LeaseTimeToLive", request, context), tuple)


async def borrowing(world: World) -> bool:
    """Use what a member once said of root about one lease for another lease."""
    seal = await world.guard.vouch(world.users["root"], 8)
    context = Context({FORWARDED_HEADER: "1", VOUCHED_HEADER: seal})
    request = pb.LeaseTimeToLiveRequest(ID=7, keys=True)
    return not isinstance(await world.call("Lease/LeaseTimeToLive", request, context), tuple)


async def renaming(world: World) -> bool:
    """Put root's name where a member wrote one's own."""
    seal = await world.guard.vouch(world.users["al"], 7)
    forged = seal.rpartition(":")[0] + ":root"
    context = Context({FORWARDED_HEADER: "1", VOUCHED_HEADER: forged})
    request = pb.LeaseTimeToLiveRequest(ID=7, keys=True)
    return not isinstance(await world.call("Lease/LeaseTimeToLive", request, context), tuple)


async def through_a_gateway(world: World) -> bool:
    """Be taken for root since the gateway's certificate is root's."""
    context = Context({"grpcgateway-accept": "*/*"}, common_name="root")
    request = pb.RangeRequest(key=b"secret")
    return not isinstance(await world.call("KV/Range", request, context), tuple)


async def filling(world: World) -> bool:
    """Raise the space alarm without being anybody."""
    await world.call("KV/Put", pb.PutRequest(key=b"k", value=bytes(1 << 20)))
    return bool(world.machine.alarms)


def open_check(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(AuthStore, name, lambda *_, **__: None)

    return apply


def open_reads(patch: pytest.MonkeyPatch) -> None:
    real = AuthStore.check_range

    def check(self: AuthStore, *args: Any, is_write: bool = False) -> Any:
        return real(self, *args, is_write=True) if is_write else None

    patch.setattr(AuthStore, "check_range", check)


def open_guard(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    async def check(*_: Any, **__: Any) -> None:
        return None

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Guard, name, check)

    return apply


def open_nested(patch: pytest.MonkeyPatch) -> None:
    real = access._op
    patch.setattr(access, "_op", lambda *args: None if isinstance(args[3], Txn) else real(*args))


def open_leases(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "lease_keys_refusal", lambda *_, **__: None)


def open_seal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("kvstore.service.guard.hmac.compare_digest", lambda *_: True)


def open_forwarded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("kvstore.server.lease.FORWARDED_HEADER", "no-such-header")


def open_lease_in_seal(patch: pytest.MonkeyPatch) -> None:
    real = Guard._seal
    patch.setattr(Guard, "_seal", lambda self, who, _lease_id: real(self, who, 0))


def open_gateway(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("kvstore.service.guard.GATEWAY_HEADER", "no-such-header")


SECRET = pb.RangeRequest(key=b"secret")
PREV = pb.PutRequest(key=b"write1", prev_kv=True)
LEASED = pb.PutRequest(key=b"both", lease=7)

ATTACKS: dict[str, tuple[Attack, Callable[[pytest.MonkeyPatch], None]]] = {
    # GHSA-rfx7-8w68-q57q: nested transactions were not looked into.
    "nested_read": (calling("KV/Txn", txn(op(txn=txn(op(range=SECRET))))), open_nested),
    "nested_write": (
        calling("KV/Txn", txn(op(txn=txn(op(put=pb.PutRequest(key=b"secret")))))),
        open_nested,
    ),
    "nested_compare": (
        calling("KV/Txn", txn(op(txn=txn(compare=[pb.Compare(key=b"secret")])))),
        open_nested,
    ),
    # GHSA-x35m-3gp4-4fh5: puts inside transactions read by prev_kv and attached leases.
    "prev_kv": (calling("KV/Put", PREV), open_reads),
    "prev_kv_in_txn": (calling("KV/Txn", txn(op(put=PREV))), open_reads),
    "prev_kv_of_delete": (
        calling("KV/DeleteRange", pb.DeleteRangeRequest(key=b"write1", prev_kv=True)),
        open_reads,
    ),
    "lease_of_others": (calling("KV/Put", LEASED), open_leases),
    "lease_of_others_in_txn": (calling("KV/Txn", txn(op(put=LEASED))), open_leases),
    # GHSA-xg4h-6gfc-h4m8: a watch from a key on was taken for one of that key.
    "watch_from_key": (
        watching(pb.WatchCreateRequest(key=b"both", range_end=b"\0")),
        open_guard("check_range"),
    ),
    "watch_all": (
        watching(pb.WatchCreateRequest(range_end=b"\0")),
        open_guard("check_range"),
    ),
    "watch_by_nobody": (
        watching(pb.WatchCreateRequest(key=b"both"), ""),
        open_guard("check_range"),
    ),
    # GHSA-q8m4-xhhv-38mg: calls that asked for nobody's name.
    "member_list": (
        calling("Cluster/MemberList", pb.MemberListRequest(), ""),
        open_check("check_user"),
    ),
    "alarm_list": (calling("Maintenance/Alarm", pb.AlarmRequest(), ""), open_check("check_user")),
    "alarm_raise": (
        calling("Maintenance/Alarm", pb.AlarmRequest(action=1, memberID=1, alarm=1)),  # type: ignore[arg-type]
        open_check("check_admin"),
    ),
    "alarm_clear": (
        calling("Maintenance/Alarm", pb.AlarmRequest(action=2)),  # type: ignore[arg-type]
        open_guard("require_admin"),
    ),
    "status": (calling("Maintenance/Status", pb.StatusRequest(), ""), open_check("check_user")),
    "compact": (calling("KV/Compact", pb.CompactionRequest(revision=2)), open_check("check_admin")),
    "lease_grant": (
        calling("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=9, TTL=9), ""),
        open_check("check_user"),
    ),
    "lease_list": (
        calling("Lease/LeaseLeases", pb.LeaseLeasesRequest(), ""),
        open_guard("check_leases"),
    ),
    "lease_list_of_others": (
        calling("Lease/LeaseLeases", pb.LeaseLeasesRequest()),
        open_leases,
    ),
    "lease_revoke_of_others": (
        calling("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=7)),
        open_leases,
    ),
    "keep_alive_by_nobody": (keeping(8, ""), open_guard("check_lease")),
    "keep_alive_of_others": (keeping(7, "al"), open_leases),
    "time_to_live_by_nobody": (
        calling("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=8), ""),
        open_check("check_user"),
    ),
    # Told the keys of a lease to those who may not read them (fixed in 3.4.26 and 3.5.9).
    "time_to_live_with_keys": (
        calling("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=7, keys=True)),
        open_leases,
    ),
    "hash": (calling("Maintenance/Hash", pb.HashRequest()), open_check("check_admin")),
    "hash_kv": (calling("Maintenance/HashKV", pb.HashKVRequest()), open_check("check_admin")),
    "defragment": (
        calling("Maintenance/Defragment", pb.DefragmentRequest()),
        open_check("check_admin"),
    ),
    "move_leader": (
        calling("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=MEMBER)),
        open_check("check_admin"),
    ),
    "snapshot": (snapshotting, open_check("check_admin")),
    "auth_status": (calling("Auth/AuthStatus", pb.AuthStatusRequest()), open_check("check_admin")),
    "auth_disable": (
        calling("Auth/AuthDisable", pb.AuthDisableRequest()),
        open_check("check_admin"),
    ),
    "become_root": (
        calling("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="al", role="root")),
        open_check("check_admin"),
    ),
    "forged_seal": (forging, open_seal),
    "member_certificate": (unvouched, open_forwarded),
    "renamed_seal": (renaming, open_seal),
    "borrowed_seal": (borrowing, open_lease_in_seal),
    "gateway_certificate": (through_a_gateway, open_gateway),
    "fill_by_nobody": (filling, open_guard("require_user")),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_fails(world, name):
    attack, _ = ATTACKS[name]
    assert not await attack(world)


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_succeeds_without_the_check_that_stops_it(name, monkeypatch):
    world = await furnish(World())
    attack, take_out = ATTACKS[name]
    with monkeypatch.context() as patch:
        take_out(patch)
        assert await attack(world)


async def test_what_is_allowed_goes_through(world):
    for method, request in (
        ("KV/Range", pb.RangeRequest(key=b"read", range_end=b"reae")),
        ("KV/Range", pb.RangeRequest(key=b"read1", serializable=True)),
        ("KV/Put", pb.PutRequest(key=b"both", prev_kv=True)),
        ("KV/Put", pb.PutRequest(key=b"both", lease=8)),
        ("KV/Txn", txn(op(range=pb.RangeRequest(key=b"read1")))),
        ("KV/Txn", txn(op(put=pb.PutRequest(key=b"write9")), compare=[pb.Compare(key=b"both")])),
        ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"write", range_end=b"writf")),
        ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=7)),
        ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=8, keys=True)),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=9)),
        ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=8)),
        ("Cluster/MemberList", pb.MemberListRequest()),
        ("Maintenance/Status", pb.StatusRequest()),
        ("Maintenance/Alarm", pb.AlarmRequest()),
        ("Auth/UserGet", pb.AuthUserGetRequest(name="al")),
        ("Auth/RoleGet", pb.AuthRoleGetRequest(role="r")),
    ):
        await world.must(method, request, "al")
    assert await watching(pb.WatchCreateRequest(key=b"read", range_end=b"reae"))(world)
    assert await keeping(8, "al")(world)
    assert await keeping(7, "root")(world)
    leases = await world.must("Lease/LeaseLeases", pb.LeaseLeasesRequest(), "root")
    assert len(leases.leases) == 2


async def test_serializable_reads_and_read_transactions_are_checked(world):
    denied = (7, "etcdserver: permission denied")
    request = pb.RangeRequest(key=b"secret", serializable=True)
    assert await world.call("KV/Range", request, "al") == denied
    assert await world.call("KV/Txn", txn(op(range=request)), "al") == denied
    failure = pb.TxnRequest(failure=[op(range=request)])
    assert await world.call("KV/Txn", failure, "al") == denied


async def test_refused_watches_say_why(world):
    request = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"secret", watch_id=5))
    for caller, reason in (
        ("al", "rpc error: code = PermissionDenied desc = etcdserver: permission denied"),
        ("", "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"),
        (
            Context({"token": "bad.1"}),
            "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
        ),
    ):
        answer = pb.WatchResponse.FromString(await world.stream("Watch/Watch", request, caller))
        assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)
        assert answer.cancel_reason == reason


async def test_tokens_come_by_either_header_and_die_with_their_user(world):
    request = pb.RangeRequest(key=b"read1")
    token = world.users["al"].headers["token"]
    await world.must("KV/Range", request, "al")
    assert not isinstance(
        await world.call("KV/Range", request, Context({"authorization": token})), tuple
    )
    bad = (16, "etcdserver: invalid auth token")
    assert await world.call("KV/Range", request, Context({"token": ""})) == bad
    await world.must("Auth/UserChangePassword", _password("al", "new"), "root")
    assert await world.call("KV/Range", request, "al") == bad
    assert await world.login("al", "al") == (
        3,
        "etcdserver: authentication failed, invalid user ID or password",
    )
    await world.login("al", "new")
    await world.must("KV/Range", request, "al")
    await world.must("Auth/UserDelete", pb.AuthUserDeleteRequest(name="al"), "root")
    assert await world.call("KV/Range", request, "al") == bad
    await world.must("Auth/AuthDisable", pb.AuthDisableRequest(), "root")
    await world.must("KV/Range", request, "al")  # nobody asks for tokens now
    await world.must("Auth/AuthEnable", pb.AuthEnableRequest())
    assert await world.call("KV/Range", request, "root") == bad


async def test_a_token_ends_when_it_was_not_used_for_five_minutes(world):
    request = pb.RangeRequest(key=b"read1")
    for _ in range(3):
        await world.clock.advance(299)
        await world.must("KV/Range", request, "al")
    await world.clock.advance(301)
    assert await world.call("KV/Range", request, "al") == (16, "etcdserver: invalid auth token")


async def test_a_restored_state_forgets_tokens(world):
    chunks = list(world.machine.snapshot())
    assert isinstance(world.tokens, SimpleTokens)
    assert len(world.tokens) == 2
    world.machine.restore(chunks)
    assert len(world.tokens) == 0
    await world.login("al")
    await world.must("KV/Range", pb.RangeRequest(key=b"read1"), "al")


def _password(name: str, password: str) -> pb.AuthUserChangePasswordRequest:
    return pb.AuthUserChangePasswordRequest(name=name, password=password)


@pytest.fixture
async def signed(tmp_path):
    (tmp_path / "key").write_bytes(b"0123456789abcdef" * 4)
    made = await furnish(World(f"jwt,sign-method=HS256,ttl=100s,priv-key={tmp_path}/key"))
    yield made
    made.machine.check_invariants()


async def test_signed_tokens_get_old_with_every_change_of_users(signed):
    request = pb.RangeRequest(key=b"read1")
    await signed.must("KV/Range", request, "al")
    await signed.must("Auth/RoleAdd", pb.AuthRoleAddRequest(name="q"), "root")
    old = (3, "etcdserver: revision of auth store is old")
    assert await signed.call("KV/Range", request, "al") == old
    assert await signed.call("KV/Put", pb.PutRequest(key=b"both"), "al") == old
    # Administration goes on with one token, as in etcd.
    await signed.must("Auth/RoleAdd", pb.AuthRoleAddRequest(name="p"), "root")
    await signed.login("al")
    await signed.must("KV/Range", request, "al")
    await signed.clock.advance(100)
    assert await signed.call("KV/Range", request, "al") == (16, "etcdserver: invalid auth token")


async def test_signed_tokens_end_with_their_user_and_with_authentication(signed):
    await signed.must(
        "Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="al", role="root"), "root"
    )
    await signed.login("al")
    await signed.must("Auth/UserList", pb.AuthUserListRequest(), "al")
    await signed.must("Auth/UserDelete", pb.AuthUserDeleteRequest(name="al"), "root")
    gone = await signed.call("Auth/UserList", pb.AuthUserListRequest(), "al")
    assert gone == (9, "etcdserver: user name not found")
    assert await signed.call("Cluster/MemberList", pb.MemberListRequest(), "al") == (
        7,
        "etcdserver: permission denied",
    )
    for request in (
        pb.AuthUserAddRequest(name="al", password="al"),
        pb.AuthUserGrantRoleRequest(user="al", role="root"),
    ):
        name = type(request).__name__.removeprefix("Auth").removesuffix("Request")
        await signed.must(f"Auth/{name}", request, "root")
    old = (3, "etcdserver: revision of auth store is old")
    assert await signed.call("Auth/UserList", pb.AuthUserListRequest(), "al") == old
    await signed.must("Auth/AuthDisable", pb.AuthDisableRequest(), "root")
    await signed.must("Auth/AuthEnable", pb.AuthEnableRequest())
    assert await signed.call("Auth/UserList", pb.AuthUserListRequest(), "root") == old


async def test_certificates_speak_for_their_common_name(world):
    request = pb.RangeRequest(key=b"read1")
    al = Context(common_name="al")
    assert not isinstance(await world.call("KV/Range", request, al), tuple)
    denied = (7, "etcdserver: permission denied")
    assert await world.call("KV/Range", pb.RangeRequest(key=b"secret"), al) == denied
    assert await world.call("KV/Range", request, Context(common_name="nobody")) == denied
    # A token comes first, and a bad one is not made up for.
    bad = Context({"token": "bad.1"}, common_name="root")
    assert await world.call("KV/Range", request, bad) == (16, "etcdserver: invalid auth token")
    world.guard._trusts_certificates = False
    assert await world.call("KV/Range", request, al) == (3, "etcdserver: user name is empty")


async def test_a_login_is_tried_again_when_users_change_during_it(world, monkeypatch):
    changes = iter(["q1", "q2"])
    real = Passwords.matches

    async def matches(self: Passwords, hashed: bytes, password: str) -> bool:
        name = next(changes, None)
        if name is not None:
            await world.must("Auth/RoleAdd", pb.AuthRoleAddRequest(name=name), "root")
        return await real(self, hashed, password)

    monkeypatch.setattr(Passwords, "matches", matches)
    count = len(world.tokens)
    assert not isinstance(await world.login("al"), tuple)
    assert len(world.tokens) == count + 1  # no token was left behind by the tries
    await world.must("KV/Range", pb.RangeRequest(key=b"read1"), "al")


async def test_a_password_changed_during_a_login_does_not_let_in(world, monkeypatch):
    real = Passwords.matches

    async def matches(self: Passwords, hashed: bytes, password: str) -> bool:
        found = await real(self, hashed, password)
        monkeypatch.undo()
        await world.must("Auth/UserChangePassword", _password("al", "new"), "root")
        return found

    monkeypatch.setattr(Passwords, "matches", matches)
    assert isinstance(await world.login("al"), tuple)


async def test_what_members_do_themselves_is_not_checked(world):
    await world.proposer.submit(MemberAttributes(1, "m"), SYSTEM)
    await world.proposer.submit(Compact(2), SYSTEM)
    await world.proposer.submit(Alarm(1, 1, 1), SYSTEM)
    await world.proposer.submit(LeaseRevoke(8), SYSTEM)
    assert (world.machine.compact_revision, set(world.machine.alarms)) == (2, {(1, 1)})
    # Lease 7 runs out by itself, and its key goes with it.
    expiring = asyncio.ensure_future(world.lease_clock.run())
    for _ in range(math.ceil(101 / 0.25)):
        await world.clock.advance(0.25)
    expiring.cancel()
    assert dict(world.machine.lessor.leases) == {}
    answer = await world.must("KV/Range", pb.RangeRequest(key=b"secret"), "root")
    assert answer.count == 0


async def test_passwords_are_not_in_the_log(monkeypatch):
    world = World()
    seen: list[bytes] = []
    real = StateMachine.apply

    def apply(self: StateMachine, index: int, commands: Any) -> Any:
        seen.extend(commands)
        return real(self, index, commands)

    monkeypatch.setattr(StateMachine, "apply", apply)
    await furnish(world)
    request = pb.AuthUserAddRequest(name="x", password="correct horse battery")
    await world.must("Auth/UserAdd", request, "root")
    await world.must("Auth/UserChangePassword", _password("x", "staple of the horse"), "root")
    assert not isinstance(await world.login("x", "staple of the horse"), tuple)
    log = b"".join(seen)
    assert b"horse" not in log
    assert b"$2b$" in log


async def test_whoever_may_not_add_users_makes_nobody_hash_passwords(world, monkeypatch):
    async def refuse(*_: Any) -> bytes:
        raise AssertionError("hashed")

    monkeypatch.setattr(Passwords, "hash", refuse)
    for caller in ("", "al"):
        request = pb.AuthUserAddRequest(name="x", password="x")
        assert isinstance(await world.call("Auth/UserAdd", request, caller), tuple)
        answer = await world.call("Auth/UserChangePassword", _password("al", "x"), caller)
        assert isinstance(answer, tuple)


async def test_off_means_one_look(monkeypatch):
    """While authentication is off nobody is identified and nothing is put into an envelope."""
    world = World()
    await world.replicator.start()

    async def refuse(*_: Any) -> None:
        raise AssertionError("asked who calls")

    monkeypatch.setattr(Guard, "identify", refuse)
    monkeypatch.setattr(Guard, "sign", refuse)
    context = Context({"token": "bad"}, common_name="x")
    for method, request in (
        ("KV/Put", pb.PutRequest(key=b"k")),
        ("KV/Range", pb.RangeRequest(key=b"k")),
        ("KV/Txn", txn(op(put=pb.PutRequest(key=b"k")))),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=1, TTL=5)),
        ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=1, keys=True)),
        ("Cluster/MemberList", pb.MemberListRequest()),
        ("Maintenance/Status", pb.StatusRequest()),
    ):
        assert not isinstance(await world.call(method, request, context), tuple)
