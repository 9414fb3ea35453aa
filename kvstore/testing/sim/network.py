"""A network in memory: connections as TCP gives them, over links that are slow, lossy, cut in one direction or both.

Bytes of one connection arrive in order; those of different connections do not. A lost packet is sent again, so it shows
as a delay of all that follows. Across a cut link nothing arrives: bytes wait, as TCP repeats them, and so do
the news that a connection ended; who waits learns of it by silence only. When the link heals what waited arrives, also
from connections that one side has given up long ago and replaced: old bytes behind new ones.

Hosts are names; a host is up (its process listens or answers "refused") or without power (it swallows everything).
"""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any

from kvstore.testing.sim.loop import Process, SimLoop, current_process

_REFUSED = "connection refused"


class Link:
    """How one direction between two hosts behaves."""

    __slots__ = ("is_cut", "loss", "slow_seconds")

    def __init__(self) -> None:
        self.is_cut = False
        self.loss = 0.0
        self.slow_seconds = 0.0


class SimNetwork:
    """All links and listeners. `host` of a process is its name."""

    def __init__(self, loop: SimLoop, rng: random.Random) -> None:
        self.loop, self.rng = loop, rng
        loop.network = self
        self.neutral = contextvars.copy_context()
        """What is under way belongs to nobody: it arrives also after its sender died."""
        self._links: dict[tuple[str, str], Link] = {}
        self._listeners: dict[tuple[str, int], tuple[Any, Process | None]] = {}
        self._pipes: dict[_Pipe, None] = {}
        self.dark: dict[str, None] = {}
        """Hosts without power."""
        self._orphans: dict[str, list[tuple[SimTransport, Process | None]]] = {}
        """Ends of connections whose other end lost its power, by its host."""
        self.on_message: Callable[[str, str, int], None] = lambda source, target, size: None

    def link(self, source: str, target: str) -> Link:
        """The direction from `source` to `target`."""
        key = (source, target)
        found = self._links.get(key)
        if found is None:
            found = self._links[key] = Link()
        return found

    def is_open(self, source: str, target: str) -> bool:
        """Whether anything sent now would arrive."""
        return not self.link(source, target).is_cut and target not in self.dark

    def delay(self, source: str, target: str) -> float:
        """How long one packet takes now."""
        link = self._links.get((source, target)) or self.link(source, target)
        seconds = 1e-4 + 1.4e-3 * self.rng.random()
        if link.slow_seconds:
            seconds += self.rng.uniform(0.0, link.slow_seconds)
        while link.loss and self.rng.random() < link.loss:
            # A retransmission.
            seconds += self.rng.uniform(0.05, 0.3)
        return seconds

    def heal(self) -> None:
        """All links are good; what waited goes on its way."""
        for link in self._links.values():
            link.is_cut, link.loss, link.slow_seconds = False, 0.0, 0.0
        self.links_changed()

    def links_changed(self) -> None:
        """Let what waited at cut links look again."""
        for pipe in list(self._pipes):
            pipe.pump()

    def cut(self, source: str, target: str, *, is_cut: bool = True) -> None:
        """Cut or mend one direction."""
        self.link(source, target).is_cut = is_cut

    # Sockets

    def listen(self, factory: Any, host: str, port: int) -> Any:
        """Accept connections for the process that calls."""
        self._listeners[host, port] = (factory, current_process())
        return _Server(self, (host, port))

    def close_listener(self, key: tuple[str, int]) -> None:
        """Refuse from now on."""
        self._listeners.pop(key, None)

    async def connect(self, factory: Any, host: str, port: int) -> Any:
        """Open a connection from the calling process to `host`. Raises ConnectionRefusedError, or waits for ever."""
        process = current_process()
        source = process.name if process is not None else "client"
        await asyncio.sleep(self.delay(source, host))
        while not (self.is_open(source, host) and self.is_open(host, source)):  # noqa: ASYNC110
            # SYN is repeated; the caller has its own deadline.
            await asyncio.sleep(0.2)
        found = self._listeners.get((host, port))
        if found is None or (found[1] is not None and found[1].is_dead):
            raise ConnectionRefusedError(_REFUSED)
        accept, owner = found
        there, back = _Pipe(self, source, host), _Pipe(self, host, source)
        near, far = SimTransport(there, back), SimTransport(back, there)
        protocol = factory()
        near.attach(protocol, process)
        far.attach(None, owner)
        context = owner.context if owner is not None else self.neutral

        def accepted() -> None:
            remote = accept()
            far.protocol = remote
            remote.connection_made(far)

        self.loop.call_later(self.delay(source, host), accepted, context=context)
        there.ready_at = self.loop.now + 0.002
        protocol.connection_made(near)
        return near, protocol

    def drop_process(self, process: Process, *, silently: bool) -> None:
        """A process is gone: its kernel closes its sockets, unless the power is off."""
        for key, (_, owner) in list(self._listeners.items()):
            if owner is process:
                del self._listeners[key]
        for pipe in list(self._pipes):
            if pipe.sender is process:
                if silently:
                    pipe.forget()
                    if pipe.transport is not None:
                        orphan = (pipe.transport, pipe.receiver)
                        self._orphans.setdefault(process.name, []).append(orphan)
                else:
                    pipe.finish()
            if pipe.receiver is process:
                pipe.forget()

    def powered_on(self, host: str) -> None:
        """A host is back and refuses what is still sent to it on connections that it does not know."""
        self.dark.pop(host, None)
        for transport, owner in self._orphans.pop(host, []):
            source = transport._out.source
            if self.is_open(source, host) and self.is_open(host, source):
                context = owner.context if owner is not None else self.neutral
                seconds = self.rng.uniform(0.01, 0.3)
                self.loop.call_later(seconds, transport.lost, context=context)

    def reset_between(self, one: str, two: str) -> None:
        """Break all connections between two hosts now, as a router does that forgets them."""
        for pipe in list(self._pipes):
            if {pipe.source, pipe.target} == {one, two}:
                pipe.finish()


class _Server:
    def __init__(self, network: SimNetwork, key: tuple[str, int]) -> None:
        self._network, self._key = network, key

    def close(self) -> None:
        self._network.close_listener(self._key)

    async def wait_closed(self) -> None:
        return None


class _Pipe:
    """One direction of a connection: chunks on their way."""

    def __init__(self, network: SimNetwork, source: str, target: str) -> None:
        self.network, self.source, self.target = network, source, target
        self.sender: Process | None = None
        self.receiver: Process | None = None
        self.transport: SimTransport | None = None
        """The receiving end."""
        self._link = network.link(source, target)
        self._waiting: list[bytes | None] = []
        self.ready_at = 0.0
        self.bytes_waiting = 0
        self._is_gone = False
        network._pipes[self] = None

    def push(self, data: bytes | None) -> None:
        """Send `data`; None = the end."""
        if self._is_gone:
            return
        self._waiting.append(data)
        self.bytes_waiting += len(data or b"")
        self.pump()

    def pump(self) -> None:
        network = self.network
        if not self._waiting or self._link.is_cut:
            return
        waiting, self._waiting = self._waiting, []
        loop, context = network.loop, self._context()
        for data in waiting:
            at = max(self.ready_at, loop.now + network.delay(self.source, self.target))
            self.ready_at = at
            loop.call_at(at, self._arrive, data, context=context)

    def _context(self) -> contextvars.Context:
        return self.receiver.context if self.receiver is not None else self.network.neutral

    def _arrive(self, data: bytes | None) -> None:
        if self._is_gone:
            return
        self.bytes_waiting -= len(data or b"")
        if self._link.is_cut:
            # The cut came while it was under way.
            self._waiting.append(data)
            self.bytes_waiting += len(data or b"")
            return
        transport = self.transport
        if self.target in self.network.dark or transport is None:
            return
        if data is None:
            self.forget()
            transport.lost()
        elif transport.protocol is not None and not transport._is_closing:
            self.network.on_message(self.source, self.target, len(data))
            transport.protocol.data_received(data)

    def finish(self) -> None:
        """The sender's side is closed: the other learns of it behind what was sent."""
        self.push(None)

    def forget(self) -> None:
        """Nothing more arrives."""
        self._is_gone = True
        self.network._pipes.pop(self, None)


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, out: _Pipe, into: _Pipe) -> None:
        super().__init__()
        self._out, self._into = out, into
        into.transport = self
        self.protocol: Any = None
        self._is_closing = False
        self._is_lost = False

    def attach(self, protocol: Any, process: Process | None) -> None:
        """Whose end this is."""
        self.protocol = protocol
        self._out.sender = process
        self._into.receiver = process

    def write(self, data: Any) -> None:
        """Send."""
        process = self._out.sender
        if not self._is_closing and not (process is not None and process.is_dead):
            self._out.push(bytes(data))

    def get_write_buffer_size(self) -> int:
        """What has not arrived yet."""
        return self._out.bytes_waiting

    def is_closing(self) -> bool:
        """Whether it was closed here or there."""
        return self._is_closing

    def close(self) -> None:
        """End the connection."""
        if not self._is_closing:
            self._is_closing = True
            self._out.finish()
            process = self._out.sender
            loop = self._out.network.loop
            loop.call_soon(
                self.lost,
                context=process.context if process is not None else self._out.network.neutral,
            )

    abort = close

    def lost(self) -> None:
        """The connection is gone for this end."""
        if not self._is_lost:
            self._is_lost = self._is_closing = True
            self._into.forget()
            self._out.finish()
            if self.protocol is not None:
                self.protocol.connection_lost(None)
