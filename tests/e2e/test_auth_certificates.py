"""Names from client certificates and signed tokens, on real connections of either front; and flags that do not do."""

import contextlib
import datetime
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.pb import auth_pb2
from kvstore.pb import rpc_pb2 as pb

pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """One member; `flags` beside the addresses."""

    def __init__(self, folder: Path, scheme: str, *flags: str) -> None:
        self.port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.log = folder / "log"
        command = [
            sys.executable, "-m", "kvstore", "--name=m", f"--data-dir={folder / 'd'}",
            f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=m={peer}", "--bcrypt-cost=4", *flags,
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def channel(self, who: Identity | None = None) -> grpc.Channel:
        if who is None:
            return grpc.insecure_channel(f"127.0.0.1:{self.port}")
        credentials = grpc.ssl_channel_credentials(
            who.ca_file.read_bytes(), who.key_file.read_bytes(), who.cert_file.read_bytes()
        )
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def call(channel: grpc.Channel, method: str, request: Any, token: str = "") -> Any:
    """The response, or the text of the refusal."""
    answer = type(request).__name__.removesuffix("Request") + "Response"
    metadata = (("token", token),) if token else ()
    try:
        data = channel.unary_unary(f"/etcdserverpb.{method}", None, None)(
            request.SerializeToString(), metadata=metadata, timeout=15, wait_for_ready=True
        )
    except grpc.RpcError as error:
        return error.details()
    return getattr(pb, answer).FromString(data)


def furnish(channel: grpc.Channel) -> None:
    permission = auth_pb2.Permission(permType=auth_pb2.Permission.READ, key=b"a", range_end=b"b")
    for method, request in (
        ("UserAdd", pb.AuthUserAddRequest(name="root", password="root")),
        ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root")),
        (
            "UserAdd",
            pb.AuthUserAddRequest(name="al", options=auth_pb2.UserAddOptions(no_password=True)),
        ),
        ("RoleAdd", pb.AuthRoleAddRequest(name="r")),
        ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r", perm=permission)),
        ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="al", role="r")),
        ("AuthEnable", pb.AuthEnableRequest()),
    ):
        answer = call(channel, f"Auth/{method}", request)
        assert not isinstance(answer, str), answer


def with_two_names(
    authority: CertificateAuthority, folder: Path, first: str, second: str
) -> Identity:
    """A client's certificate with two common names, in this order."""
    key_file = authority.folder / "ca.key"
    signer = serialization.load_pem_private_key(key_file.read_bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in (first, second)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(signer, hashes.SHA256())
    )
    found = Identity(folder / "two.crt", folder / "two.key", authority.ca_file)
    found.cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return found


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as made:
        yield made


@pytest.mark.parametrize("engine", ["http2", "grpcio"])
def test_the_common_name_of_a_certificate_is_the_user(engine, tmp_path, stack):
    authority = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    server = authority.identity("server", "server", hosts=["127.0.0.1"], server=True)
    people = {name: authority.identity(name, name) for name in ("root", "al", "stranger")}
    member = Member(
        tmp_path, "https", f"--cert-file={server.cert_file}", f"--key-file={server.key_file}",
        f"--trusted-ca-file={server.ca_file}", "--client-cert-auth",
        f"--experimental-grpc-engine={engine}",
    )  # fmt: skip
    stack.callback(member.stop)
    people["root, then al"] = with_two_names(authority, tmp_path, "root", "al")
    channels = {name: stack.enter_context(member.channel(who)) for name, who in people.items()}
    furnish(channels["root"])
    inside, outside = pb.RangeRequest(key=b"a"), pb.RangeRequest(key=b"b")
    assert call(channels["root"], "KV/Range", outside).count == 0
    assert call(channels["al"], "KV/Range", inside).count == 0
    denied = "etcdserver: permission denied"
    assert call(channels["al"], "KV/Range", outside) == denied
    assert call(channels["stranger"], "KV/Range", inside) == denied
    # Go takes the last of several names.
    assert call(channels["root, then al"], "KV/Range", inside).count == 0
    assert call(channels["root, then al"], "KV/Range", outside) == denied
    assert call(channels["stranger"], "Cluster/MemberList", pb.MemberListRequest()) == denied
    # Who shows a token is whom the token names, whatever the certificate says.
    login = pb.AuthenticateRequest(name="root", password="root")
    token = call(channels["al"], "Auth/Authenticate", login).token
    assert call(channels["al"], "KV/Range", outside, token).count == 0
    assert call(channels["al"], "KV/Range", inside, "bad.1") == "etcdserver: invalid auth token"
    if shutil.which("etcdctl"):
        al = people["al"]
        done = subprocess.run(
            ["etcdctl", f"--endpoints={member.url}", f"--cert={al.cert_file}",
             f"--key={al.key_file}", f"--cacert={al.ca_file}", "get", "b"],
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert denied in done.stderr


def test_signed_tokens_survive_a_restart_and_other_keys_do_not_open(tmp_path, stack):
    keys = {}
    for name in ("own", "foreign"):
        key = ec.generate_private_key(ec.SECP256R1())
        keys[name] = tmp_path / f"{name}.pem"
        keys[name].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def start(key: str) -> tuple[Member, grpc.Channel]:
        text = f"jwt,sign-method=ES256,priv-key={keys[key]},ttl=10m"
        member = Member(tmp_path, "http", f"--auth-token={text}")
        stack.callback(member.stop)
        return member, stack.enter_context(member.channel())

    def stop(member: Member) -> None:
        member.process.terminate()
        assert member.process.wait(15) == 0, member.log.read_text()

    # The ports change from start to start, the member's identity must not.
    ports = iter([free_port() for _ in range(2)] * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "free_port", lambda: next(ports))
        member, channel = start("own")
        furnish(channel)
        login = pb.AuthenticateRequest(name="root", password="root")
        token = call(channel, "Auth/Authenticate", login).token
        assert token.count(".") == 2
        stop(member)
        member, channel = start("own")
        assert call(channel, "KV/Range", pb.RangeRequest(key=b"a"), token).count == 0
        stop(member)
        member, channel = start("foreign")
        answer = call(channel, "KV/Range", pb.RangeRequest(key=b"a"), token)
        assert answer == "etcdserver: invalid auth token"


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--auth-token=magic", "neither 'simple' nor 'jwt'"),
        ("--auth-token=jwt,sign-method=RS256", "pub-key or priv-key is needed"),
        ("--auth-token=jwt,sign-method=HS256,priv-key=/nope", "cannot read /nope"),
    ],
)
def test_a_token_flag_that_does_not_do_stops_the_start(flag, text, tmp_path, stack):
    member = Member(tmp_path, "http", flag)
    stack.callback(member.stop)
    assert member.process.wait(20) != 0
    log = member.log.read_text()
    assert "--auth-token" in log
    assert text in log
    assert "Traceback" not in log


def test_a_cost_out_of_bounds_is_warned_about(tmp_path, stack):
    member = Member(tmp_path, "http", "--bcrypt-cost=99")
    stack.callback(member.stop)
    deadline = time.monotonic() + 20
    while "invalid --bcrypt-cost" not in member.log.read_text():
        assert time.monotonic() < deadline, member.log.read_text()
        time.sleep(0.05)
    assert member.process.poll() is None
