"""Members under mutual TLS, on both event loops: strangers get nothing; and idle members keep their term."""

import asyncio
import datetime
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from kvstore.base.clock import SystemClock
from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.pysync.frames import encode
from kvstore.raft.pysync.messages import Hello
from kvstore.raft.replicator import MemberId, PeerTls, RaftSettings

IDS = [MemberId(1), MemberId(2), MemberId(3)]
HELLO = encode(Hello(1, 0, 3, {}))


class Words:
    def __init__(self) -> None:
        self.applied_index = 0
        self.words: list[bytes] = []

    def apply(self, index: int, commands: Sequence[bytes]) -> list[int]:
        if index <= self.applied_index:
            return []
        self.applied_index = index
        self.words.extend(commands)
        return [index] * len(commands)

    def snapshot(self) -> Iterator[bytes]:
        return iter([msgspec.msgpack.encode((self.applied_index, self.words))])

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.applied_index, self.words = msgspec.msgpack.decode(b"".join(chunks))


class Cluster:
    def __init__(self, root: Path, tls: Callable[[MemberId], PeerTls | None]) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in IDS]
        self.peers = {
            member: ("127.0.0.1", int(each.getsockname()[1]))
            for member, each in zip(IDS, sockets, strict=True)
        }
        for each in sockets:
            each.close()
        self.words = {member: Words() for member in IDS}
        self.members = {
            member: PySyncReplicator(
                RaftSettings(member, self.peers, root / str(member), tls=tls(member)),
                self.words[member],
                SystemClock(),
                random.Random(member),
            )
            for member in IDS
        }

    def leader(self) -> MemberId | None:
        """The member all three follow."""
        seen = {member.status().leader_id for member in self.members.values()}
        return seen.pop() if len(seen) == 1 and 0 not in seen else None

    def terms(self) -> set[int]:
        return {member.status().term for member in self.members.values()}


@asynccontextmanager
async def running(
    root: Path, tls: Callable[[MemberId], PeerTls | None] = lambda _: None
) -> AsyncIterator[Cluster]:
    cluster = Cluster(root, tls)
    try:
        for member in cluster.members.values():
            await member.start()
        yield cluster
    finally:
        for member in cluster.members.values():
            await member.stop()


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)


def authority(folder: Path) -> CertificateAuthority:
    return CertificateAuthority(folder, datetime.datetime.now(datetime.UTC))


def peer_identity(made: CertificateAuthority, name: str) -> Identity:
    return made.identity(name, name, hosts=["127.0.0.1"], server=True)


def stranger_context(trusted: Path, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted))
    context.check_hostname = False
    if identity is not None:
        context.load_cert_chain(identity.cert_file, identity.key_file)
    return context


async def heard(address: tuple[str, int], context: ssl.SSLContext | None) -> bytes:
    """What a stranger who claims to be a member is told before it is cut off."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*address, ssl=context)
            try:
                writer.write(HELLO)
                return await reader.read()
            finally:
                writer.transport.abort()
    except OSError:
        return b""


async def strangers_are_refused(root: Path) -> None:
    ours, theirs = authority(root / "ours"), authority(root / "theirs")

    def tls(member: MemberId) -> PeerTls:
        identity = peer_identity(ours, f"peer-{member}")
        return PeerTls(identity.cert_file, identity.key_file, identity.ca_file)

    other = peer_identity(theirs, "peer-3")
    async with running(root, tls) as cluster:
        await until(lambda: cluster.leader() is not None, "a leader")
        await asyncio.gather(
            *(cluster.members[IDS[n % 3]].propose(b"%d" % n, 5) for n in range(60))
        )
        before = cluster.terms()
        silent = [socket.create_connection(address) for address in cluster.peers.values()]
        for address in cluster.peers.values():
            assert await heard(address, stranger_context(ours.ca_file, None)) == b""
            assert await heard(address, stranger_context(ours.ca_file, other)) == b""
            # In the clear: at most TLS alerts (content type 21) come back, no word of the protocol.
            told = await heard(address, None)
            assert b"hello" not in told
            assert told[:1] in (b"", b"\x15")
        await cluster.members[IDS[0]].propose(b"after", 5)
        index = await cluster.members[IDS[1]].read_index(5)
        assert index <= cluster.words[IDS[1]].applied_index
        assert b"after" in cluster.words[IDS[1]].words
        assert cluster.terms() == before
    for each in silent:
        each.close()


async def a_member_of_another_authority_never_joins(root: Path) -> None:
    ours, theirs = authority(root / "ours"), authority(root / "theirs")

    def tls(member: MemberId) -> PeerTls:
        identity = peer_identity(theirs if member == IDS[1] else ours, f"peer-{member}")
        return PeerTls(identity.cert_file, identity.key_file, identity.ca_file)

    async with running(root, tls) as cluster:
        await cluster.members[IDS[0]].propose(b"one", 8)
        await until(lambda: cluster.words[IDS[2]].words == [b"one"], "the entry on the third")
        assert cluster.words[IDS[1]].words == []
        assert cluster.members[IDS[1]].status().leader_id == 0


async def idle_members_keep_their_term(root: Path) -> None:
    async with running(root) as cluster:
        await until(lambda: cluster.leader() is not None, "a leader")
        leader, terms = cluster.leader(), cluster.terms()
        assert len(terms) == 1
        clock = SystemClock()
        end = clock.monotonic() + 1.5
        while clock.monotonic() < end:
            assert (cluster.leader(), cluster.terms()) == (leader, terms)
            await asyncio.sleep(0.02)


LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@LOOPS
def test_strangers_are_refused_and_harm_nothing(
    tmp_path: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(strangers_are_refused(tmp_path))


def test_a_member_of_another_authority_never_joins(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(a_member_of_another_authority_never_joins(tmp_path))


def test_idle_members_keep_their_term_on_uvloop(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(idle_members_keep_their_term(tmp_path))
