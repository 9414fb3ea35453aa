"""Users, tokens and permissions on three members: everywhere the same, through fail-over, restarts and snapshots."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.pb import auth_pb2
from kvstore.pb import rpc_pb2 as pb

pytestmark = pytest.mark.e2e

NAMES = ("m0", "m1", "m2")
Metadata = tuple[tuple[str, str], ...]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Cluster:
    """Three processes with a snapshot every 30 entries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(6)
        self.client = dict(zip(NAMES, ports[:3], strict=True))
        self.peer = dict(zip(NAMES, ports[3:], strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.channels: dict[str, grpc.Channel] = {}

    def start(self, *names: str) -> None:
        members = ",".join(f"{one}=http://127.0.0.1:{self.peer[one]}" for one in NAMES)
        for name in names:
            client, peer = (f"http://127.0.0.1:{p[name]}" for p in (self.client, self.peer))
            flags = [
                f"--name={name}", f"--data-dir={self.folder / name}", "--bcrypt-cost=4",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster={members}", "--snapshot-count=30",
                "--heartbeat-interval=50", "--election-timeout=250",
            ]  # fmt: skip
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "kvstore", *flags], stdout=log, stderr=log
                )

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        channel = self.channels.pop(name, None)
        if channel is not None:
            channel.close()

    def call(self, name: str, method: str, request: Any, metadata: Metadata = ()) -> Any:
        """One call to one member; the response, or the text of the refusal."""
        if name not in self.channels:
            target = f"127.0.0.1:{self.client[name]}"
            options = [("grpc.max_reconnect_backoff_ms", 200)]
            self.channels[name] = grpc.insecure_channel(target, options=options)
        answer = type(request).__name__.removesuffix("Request") + "Response"
        try:
            data = self.channels[name].unary_unary(f"/etcdserverpb.{method}", None, None)(
                request.SerializeToString(), metadata=metadata, timeout=10, wait_for_ready=True
            )
        except grpc.RpcError as error:
            return error.details()
        return getattr(pb, answer).FromString(data)

    def keep_alive(self, name: str, lease_id: int, metadata: Metadata) -> Any:
        """The TTL, or the text of the refusal."""
        request = pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()
        call = self.channels[name].stream_stream("/etcdserverpb.Lease/LeaseKeepAlive", None, None)(
            iter([request]), metadata=metadata, timeout=10
        )
        try:
            return pb.LeaseKeepAliveResponse.FromString(next(call)).TTL
        except grpc.RpcError as error:
            return error.details()

    def leader(self, metadata: Metadata = ()) -> str:
        """Who says of itself that it leads."""
        for name in self.processes:
            status = self.call(name, "Maintenance/Status", pb.StatusRequest(), metadata)
            if not isinstance(status, str) and status.leader == status.header.member_id:
                return name
        return ""

    def eventually(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            logs = {name: (self.folder / f"{name}.log").read_text()[-1500:] for name in NAMES}
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {logs}"
            time.sleep(0.05)
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.start(*NAMES)
    try:
        made.eventually(made.leader, "a leader")
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)


def login(cluster: Cluster, name: str, user: str) -> Metadata:
    answer = cluster.call(
        name, "Auth/Authenticate", pb.AuthenticateRequest(name=user, password=user)
    )
    return (("token", answer.token),)


def furnish(cluster: Cluster, name: str) -> None:
    """`root`, and `al` who may do all with keys below a."""
    permission = auth_pb2.Permission(
        permType=auth_pb2.Permission.READWRITE, key=b"a", range_end=b"b"
    )
    for method, request in (
        ("UserAdd", pb.AuthUserAddRequest(name="root", password="root")),
        ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root")),
        ("UserAdd", pb.AuthUserAddRequest(name="al", password="al")),
        ("RoleAdd", pb.AuthRoleAddRequest(name="r")),
        ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r", perm=permission)),
        ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="al", role="r")),
        ("AuthEnable", pb.AuthEnableRequest()),
    ):
        answer = cluster.call(name, f"Auth/{method}", request)
        assert not isinstance(answer, str), answer


def auth_state(cluster: Cluster, name: str, root: Metadata) -> tuple[Any, ...]:
    """What a member knows of users and roles."""
    status = cluster.call(name, "Auth/AuthStatus", pb.AuthStatusRequest(), root)
    users = cluster.call(name, "Auth/UserList", pb.AuthUserListRequest(), root)
    roles = cluster.call(name, "Auth/RoleList", pb.AuthRoleListRequest(), root)
    return (
        # Of passwords too, which no call tells.
        cluster.call(name, "Maintenance/Hash", pb.HashRequest(), root).hash,
        status.enabled,
        status.authRevision,
        [
            (
                user,
                tuple(
                    cluster.call(name, "Auth/UserGet", pb.AuthUserGetRequest(name=user), root).roles
                ),
            )
            for user in users.users
        ],
        [
            (
                role,
                str(
                    cluster.call(name, "Auth/RoleGet", pb.AuthRoleGetRequest(role=role), root).perm
                ),
            )
            for role in roles.roles
        ],
    )


DENIED = "etcdserver: permission denied"
INVALID = "etcdserver: invalid auth token"


def test_tokens_and_leases_on_every_member_and_through_a_fail_over(cluster):
    furnish(cluster, "m0")
    root, al = login(cluster, "m0", "root"), login(cluster, "m1", "al")
    for name in NAMES:
        # At once: a member that lags waits for the login it has not seen.
        fresh = login(cluster, name, "al")
        for other in NAMES:
            for who in (fresh, al):
                answer = cluster.call(other, "KV/Put", pb.PutRequest(key=b"a", value=b"1"), who)
                assert not isinstance(answer, str), answer
            refused = cluster.call(other, "KV/Range", pb.RangeRequest(key=b"b"), fresh)
            assert refused == DENIED
    # Leases are the leader's: other members ask it in the caller's name.
    for lease_id, key in ((7, b"a7"), (8, b"secret")):
        grant = pb.LeaseGrantRequest(ID=lease_id, TTL=60)
        assert not isinstance(cluster.call("m0", "Lease/LeaseGrant", grant, root), str)
        put = pb.PutRequest(key=key, lease=lease_id)
        assert not isinstance(cluster.call("m0", "KV/Put", put, root), str)
    leader = cluster.leader(root)
    for name in NAMES:
        assert cluster.keep_alive(name, 7, al) == 60
        assert cluster.keep_alive(name, 8, al) == DENIED
        assert cluster.keep_alive(name, 8, root) == 60
        assert cluster.keep_alive(name, 8, ()) == "etcdserver: user name is empty"
        request = pb.LeaseTimeToLiveRequest(ID=8, keys=True)
        assert cluster.call(name, "Lease/LeaseTimeToLive", request, al) == DENIED
        answer = cluster.call(name, "Lease/LeaseTimeToLive", request, root)
        assert list(answer.keys) == [b"secret"]
        # Pretending to be a member that vouches for root does not help.
        forged = (("quorate-forwarded", "1"), ("quorate-vouched", f"{'0' * 64}:9:root"))
        wanted = INVALID if name == leader else "etcdserver: not leader"
        assert cluster.call(name, "Lease/LeaseTimeToLive", request, forged) == wanted
    cluster.kill(leader)
    new = cluster.eventually(lambda: cluster.leader(root), "another leader")
    assert new != leader
    for name in cluster.processes:
        answer = cluster.call(name, "KV/Put", pb.PutRequest(key=b"a", value=b"2"), al)
        assert not isinstance(answer, str), answer
        assert cluster.keep_alive(name, 7, al) == 60
    # Deleting the user ends its tokens on all members.
    delete = pb.AuthUserDeleteRequest(name="al")
    assert not isinstance(cluster.call(new, "Auth/UserDelete", delete, root), str)
    for name in cluster.processes:
        # A linearizable read first, so that the member has seen the end.
        cluster.call(name, "KV/Range", pb.RangeRequest(key=b"a"), root)
        assert cluster.call(name, "KV/Range", pb.RangeRequest(key=b"a"), al) == INVALID


def test_the_same_users_after_restarts_and_a_snapshot_from_the_leader(cluster):
    # etcd's issue 14571: a member's auth state after a restart was not that of the log.
    furnish(cluster, "m0")
    root = login(cluster, "m0", "root")
    behind = next(name for name in NAMES if name != cluster.leader(root))
    cluster.kill(behind)
    other = next(iter(cluster.processes))
    for number in range(50):
        role = pb.AuthRoleAddRequest(name=f"role{number}")
        assert not isinstance(cluster.call(other, "Auth/RoleAdd", role, root), str)
        put = pb.PutRequest(key=b"b%d" % number, value=b"x")
        assert not isinstance(cluster.call(other, "KV/Put", put, root), str)
    for number in range(0, 50, 2):
        delete = pb.AuthRoleDeleteRequest(role=f"role{number}")
        assert not isinstance(cluster.call(other, "Auth/RoleDelete", delete, root), str)
    cluster.start(behind)
    cluster.eventually(
        lambda: not isinstance(login_or_text(cluster, behind), str), f"{behind} is back"
    )
    states = {name: auth_state(cluster, name, login(cluster, name, "root")) for name in NAMES}
    assert states["m0"] == states["m1"] == states["m2"]
    _, is_enabled, revision, users, roles = states["m0"]
    assert (is_enabled, revision, len(users), len(roles)) == (True, 82, 2, 26)
    assert "snapshot installed" in (cluster.folder / f"{behind}.log").read_text()
    for name in NAMES:
        cluster.kill(name)
    cluster.start(*NAMES)
    cluster.eventually(lambda: not isinstance(login_or_text(cluster, "m0"), str), "all are back")
    after = {name: auth_state(cluster, name, login(cluster, name, "root")) for name in NAMES}
    assert after == states
    for name in NAMES:
        al = login(cluster, name, "al")
        assert cluster.call(name, "KV/Range", pb.RangeRequest(key=b"b1"), al) == DENIED
        refused = cluster.call(name, "KV/Put", pb.PutRequest(key=b"a"))
        assert refused == "etcdserver: user name is empty"


def login_or_text(cluster: Cluster, name: str) -> Any:
    request = pb.AuthenticateRequest(name="root", password="root")
    return cluster.call(name, "Auth/Authenticate", request)
