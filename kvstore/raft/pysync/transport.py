"""Connections between members: one live connection a peer, members only, known messages only.

Of two members the one with the smaller id dials; the other one does if that does not succeed. Both say hello
(cluster, ids, boot); what does not fit is cut off before any message is read. A newer connection replaces an older
one, whose remaining messages are dropped. Silence ends a connection: pings fill it. Sending never waits: what does not
fit into the bounded buffer is refused, which Raft takes as loss. A `LinkFilter` may refuse connections and drop
messages, so that partitions need no root; one that is a `LinkShaper` too may hold messages back and break connections.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from kvstore.base import descriptors
from kvstore.base.accepting import Acceptor, bind
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.raft.pysync.connection import SEND_BUFFER_BYTES, Connection
from kvstore.raft.pysync.delay_line import DelayLine
from kvstore.raft.pysync.frames import BadFrame, encode
from kvstore.raft.pysync.links import LinkFilter, LinkShaper
from kvstore.raft.pysync.messages import (
    KIND,
    AppendEntries,
    AskMembers,
    Hello,
    Members,
    Message,
    Ping,
)
from kvstore.raft.pysync.peer_tls import PeerContexts
from kvstore.raft.replicator import MemberId, RaftSettings

log = structlog.get_logger(__name__)

PROTOCOL_VERSION = 1
HELLO_SECONDS = 5.0
PING_SECONDS = 0.5
SILENCE_SECONDS = 2.0
REDIAL_CAP_SECONDS = 0.5
# A member that starts, or was just lost, is often there in a moment; the others wait for it with their first election.
QUICK_REDIAL_CAP_SECONDS = 0.03
QUICK_SECONDS = 10.0
LATE_DIAL_SECONDS = 3.0
ALONE_SECONDS = 10.0
STRANGERS_COUNT = 32
"""Connections that may be open without having said who they are; one more, and the oldest goes. As many may be under
a TLS handshake. They come out of the descriptors that other listeners leave."""


class Closing(Protocol):
    """A listener."""

    def close(self) -> None:
        """Take no more."""
        ...


Listening = Callable[
    [Callable[[], asyncio.Protocol], str, int, ssl.SSLContext | None], Awaitable[Closing]
]
"""Listens on (host, port): factory of protocols, host, port, TLS. Raises OSError."""


async def listen_on(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None
) -> Closing:
    """Listen on real sockets (a `Listening`). Members may have the last descriptor: they are few, and needed."""
    return Acceptor(
        factory,
        bind(host, port),
        tls=tls,
        # A stranger that says nothing is not known to the protocol before its handshake ends.
        handshake_seconds=HELLO_SECONDS,
        max_handshakes=STRANGERS_COUNT,
        ceiling=descriptors.limit,
    )


class TransportEvents(Protocol):
    """Who is told what arrives."""

    def hello(self) -> dict[str, Any]:
        """Facts to send along with the hello."""
        ...

    def members(self) -> list[tuple[int, list[str], bool]]:
        """Id and peer URLs of all members, and whether they count, for those who are to join."""
        ...

    def connected(self, member: MemberId, hello: dict[str, Any]) -> None:
        """A connection to a member is up."""
        ...

    def disconnected(self, member: MemberId) -> None:
        """It ended."""
        ...

    def received(self, member: MemberId, message: Message) -> None:
        """A known message arrived on the live connection."""
        ...


class PeerTransport:
    """All connections of one member. `start`, then `send`; what arrives goes to `events`, on the loop."""

    def __init__(
        self,
        settings: RaftSettings,
        clock: Clock,
        rng: random.Random,
        events: TransportEvents,
        link_filter: LinkFilter,
        listen: Listening = listen_on,
    ) -> None:
        self.clock = clock
        self._listen = listen
        self._settings, self._rng, self._events = settings, rng, events
        self._filter = link_filter
        self._shaper = link_filter if isinstance(link_filter, LinkShaper) else None
        if self._shaper is not None:
            self._shaper.on_change(self._links_changed)
        self._own = settings.member_id
        self._frame_limit = 2 * settings.max_pack_bytes + (4 << 20)
        self._live: dict[MemberId, Connection] = {}
        self._open: dict[Connection, None] = {}
        self._servers: list[Closing] = []
        self._closing = False
        self._alone_since = clock.monotonic()
        self._tls = PeerContexts(settings.tls)
        self._supervisor: Supervisor | None = None
        self._dialled: set[MemberId] = set()

    async def start(self, supervisor: Supervisor) -> None:
        """Listen and begin to dial. Raises OSError if an address cannot be bound."""
        for host, port in self._settings.listen or (self._settings.peers[self._own],):
            self._servers.append(
                await self._listen(lambda: Connection(self, None), host, port, self._tls.server)
            )
        self._supervisor = supervisor
        self.peers_changed()
        supervisor.start(self._watch_silence(), "silence", eternal=True)

    def peers_changed(self) -> None:
        """Dial those of `settings.peers` that are new; those that are gone are dialled no more."""
        if self._supervisor is None:
            return
        for member in self._settings.peers:
            if member != self._own and member not in self._dialled:
                self._dialled.add(member)
                dial = self._dial if member > self._own else self._dial_late
                self._supervisor.start(dial(member), f"dial-{member:x}")

    def connected_since(self) -> dict[MemberId, float]:
        """When each live connection was made, by the clock's `monotonic`."""
        return {member: one.opened_at for member, one in self._live.items()}

    async def stop(self) -> None:
        """Close all connections."""
        self._closing = True
        for server in self._servers:
            server.close()
        connections = list(self._open)
        for connection in connections:
            connection.flush()
            connection.abort()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=1.0)

    def push(self) -> None:
        """Send now what would leave in the next iteration of the loop."""
        for connection in self._live.values():
            connection.push()

    def drop(self, member: MemberId) -> None:
        """End the connection to a member; what it says from now on is not heard."""
        connection = self._live.get(member)
        if connection is not None:
            connection.abort()
            self.lost(connection)

    def send(self, member: MemberId, message: Message) -> bool:
        """Send to a connected member; False if there is no connection or its buffer is full."""
        connection = self._live.get(member)
        if connection is None:
            return False
        kind = type(message)
        if not self._filter.allows_message(self._own, member, KIND[kind]):
            # It is lost on its way: who sends cannot know.
            return True
        is_urgent = kind is not AppendEntries or not message.quiet  # type: ignore[attr-defined]
        return self._write(connection, member, encode(message), is_urgent)

    def _write(
        self, connection: Connection, member: MemberId, frame: bytes, is_urgent: bool
    ) -> bool:
        shaper = self._shaper
        if shaper is None or not (shaper.is_shaping or connection.delayed_out):
            return connection.write(frame, is_urgent=is_urgent)
        now = self.clock.monotonic()
        at = shaper.release_at(self._own, member, len(frame), now)
        if connection.delayed_out is None:
            connection.delayed_out = DelayLine(connection.write, SEND_BUFFER_BYTES)
        return connection.delayed_out.put(frame, len(frame), at - now)

    def _links_changed(self) -> None:
        """Break what must not be connected, and let go what a slow link held."""
        for connection in list(self._open):
            if connection.member is not None and not self._filter.allows_connect(
                self._own, connection.member
            ):
                connection.abort()
                continue
            for held in (connection.delayed_out, connection.delayed_in):
                if held is not None:
                    held.let_go()

    async def _dial(self, member: MemberId) -> None:
        backoff = Backoff(0.02, REDIAL_CAP_SECONDS, rng=self._rng)
        alone_since = self.clock.monotonic()
        while True:
            if member not in self._settings.peers:
                self._dialled.discard(member)
                return
            if await self._connect_once(member):
                backoff.reset()
                alone_since = self.clock.monotonic()
            pause = backoff.next()
            if self.clock.monotonic() - alone_since < QUICK_SECONDS:
                pause = min(pause, QUICK_REDIAL_CAP_SECONDS)
            await self.clock.sleep(pause)

    async def _dial_late(self, member: MemberId) -> None:
        """It is the other one's turn to dial, but it may not find this member, or not know that it is one.

        It came back at another address, or was added, or removed, and the other has not read of it yet.
        """
        while True:
            await self.clock.sleep(LATE_DIAL_SECONDS * self._rng.uniform(1.0, 1.5))
            if member not in self._settings.peers:
                self._dialled.discard(member)
                return
            if member not in self._live:
                await self._connect_once(member)

    async def _connect_once(self, member: MemberId) -> bool:
        """Connect, and wait for the end of it; whether the member was met."""
        if not self._filter.allows_connect(self._own, member):
            return False
        # Asked every time: the address may be updated, or the member be gone.
        address = self._settings.peers.get(member)
        if address is None:
            return False
        host, port = address
        connection = Connection(self, member)
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, host, port, ssl=self._tls.client
                )
        except (OSError, ssl.SSLError, TimeoutError):
            connection.abort()
            return False
        await connection.closed
        return connection.member is not None

    def _say_alone(self, now: float) -> None:
        """Tell the operator whom this member does not reach, if it cannot be part of a majority for that."""
        peers = self._settings.peers
        if len(self._live) + 1 > len(peers) // 2:
            self._alone_since = now
        elif now - self._alone_since > ALONE_SECONDS:
            self._alone_since = now
            missing = [one for one in sorted(peers) if one != self._own and one not in self._live]
            log.warning(
                "too few members are reached for a leader",
                missing=[f"{one:x}@{peers[one][0]}:{peers[one][1]}" for one in missing],
            )

    async def _watch_silence(self) -> None:
        ping = encode(Ping())
        silence = max(SILENCE_SECONDS, 4 * self._settings.election_timeout_seconds)
        while True:
            began = self.clock.monotonic()
            await self.clock.sleep(PING_SECONDS)
            self._tls.reload_if_changed()
            self._say_alone(began)
            now = self.clock.monotonic()
            if now - began > 3 * PING_SECONDS:
                # This process was held up: what the others sent is still in the sockets, so silence says nothing.
                continue
            for connection in list(self._open):
                if connection.member is None:
                    if now - connection.opened_at > HELLO_SECONDS:
                        connection.abort()
                elif now - connection.heard_at > silence:
                    connection.abort()
                elif now - connection.sent_at >= PING_SECONDS and self._filter.allows_message(
                    self._own, connection.member, "ping"
                ):
                    self._write(connection, connection.member, ping, True)

    # Called by connections

    def opened(self, connection: Connection) -> None:
        """A socket is connected: say hello."""
        if self._closing:
            connection.abort()
            return
        refusal = self._tls.refusal(connection.certificate())
        if refusal:
            log.warning("peer connection refused", reason=refusal)
            connection.abort()
            return
        self._open[connection] = None
        strangers = [one for one in self._open if one.member is None and one.expected is None]
        if len(strangers) > STRANGERS_COUNT:
            strangers[0].abort()
        hello = Hello(PROTOCOL_VERSION, self._settings.cluster_id, self._own, self._events.hello())
        connection.write(encode(hello))

    def arrived(self, connection: Connection, message: Message) -> None:
        """A frame arrived. Raises BadFrame for what no member sends."""
        if connection.member is None:
            self._meet(connection, message)
            return
        member = connection.member
        if self._live.get(member) is not connection:
            return
        if not self._filter.allows_message(member, self._own, KIND[type(message)]):
            return
        shaper = self._shaper
        if shaper is None or not (shaper.is_shaping or connection.delayed_in):
            self._deliver(connection, member, message)
            return
        now = self.clock.monotonic()
        size = len(encode(message))
        at = shaper.release_at(member, self._own, size, now)
        if connection.delayed_in is None:
            connection.delayed_in = DelayLine(
                lambda one: self._deliver_late(connection, member, one), SEND_BUFFER_BYTES
            )
        connection.delayed_in.put(message, size, at - now)

    def _deliver_late(self, connection: Connection, member: MemberId, message: Message) -> None:
        try:
            if self._live.get(member) is connection:
                self._deliver(connection, member, message)
        except BadFrame as error:
            connection.refuse(error)

    def _deliver(self, connection: Connection, member: MemberId, message: Message) -> None:
        connection.heard_at = self.clock.monotonic()
        kind = type(message)
        if kind is Ping:
            return
        if kind in (Hello, AskMembers, Members):
            raise BadFrame("a second hello")
        self._events.received(member, message)

    def _meet(self, connection: Connection, message: Message) -> None:
        if isinstance(message, AskMembers):
            connection.write(encode(Members(self._settings.cluster_id, self._events.members())))
            connection.finish()
            return
        if not isinstance(message, Hello):
            raise BadFrame("no hello")
        if message.version != PROTOCOL_VERSION:
            raise BadFrame(f"protocol version {message.version!r}")
        if message.cluster != self._settings.cluster_id:
            raise BadFrame(f"cluster {message.cluster!r} is not this one")
        claimed, facts = message.sender, message.facts
        # One that is in no configuration here may be in one that this member has not read yet.
        if not isinstance(claimed, int) or claimed <= 0:
            raise BadFrame(f"{claimed!r} is no member")
        member = MemberId(claimed)
        if member == self._own:
            raise BadFrame("it says it is this member")
        if connection.expected not in (None, member) or not isinstance(facts, dict):
            raise BadFrame(f"{member!r} answered in place of {connection.expected!r}")
        if connection.expected is None and not self._filter.allows_connect(member, self._own):
            connection.abort()
            return
        connection.trust(member, self._frame_limit)
        connection.heard_at = self.clock.monotonic()
        old = self._live.pop(member, None)
        if old is not None:
            old.abort()
            self._events.disconnected(member)
        self._live[member] = connection
        self._events.connected(member, facts)

    def lost(self, connection: Connection) -> None:
        """A socket closed."""
        self._open.pop(connection, None)
        member = connection.member
        if member is not None and self._live.get(member) is connection:
            del self._live[member]
            self._events.disconnected(member)
