"""`python -m controlplane.local.links.relay`: carries packets between nodes in place of the kernel, with their faults.

It runs in the network of the fabric, from which a pair of links leads to each node. While a fault is on, the kernel
forwards nothing there (`forwarding` of each link is off) and every packet passes here: lost, late or slowed as the
table says. So faults need no module of the kernel, and no rules. A line of standard input is the whole table, as JSON:
`{"nodes": {name: address}, "ways": [[source, target, drop, delay, jitter, rate]]}`; each is answered by the
line `ok`. Without ways the kernel forwards again. It ends, and leaves the kernel forwarding, with its input.

Packets come as the kernel has them, larger than a frame and with checksums still to be filled in; the header that says
so (virtio_net_hdr) goes in and out with them.
"""

import contextlib
import heapq
import json
import os
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_SOL_PACKET, _VNET_HDR, _IGNORE_OUTGOING = 263, 15, 23
_VNET_BYTES = 10
_IPV4 = 0x0800
_MOST_BYTES = 128 << 10
_LOOK_SECONDS = 0.5
_QUEUE_BYTES = 64 << 20
"""What may wait on all links together; more is lost, as in any router."""


@dataclass(slots=True)
class _Way:
    drop: float
    delay: float
    jitter: float
    rate: float
    free_at: float = 0.0
    """When the bytes before have passed."""
    last: float = 0.0
    """When the packet before arrives: none overtakes it."""


@dataclass(slots=True)
class _Node:
    address: str
    network: bytes
    """The first three bytes of all addresses there."""
    link: str = ""
    index: int = 0
    made: socket.socket | None = None
    mac: bytes = b""


class Relay:
    """The table and what is under way."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._nodes: dict[str, _Node] = {}
        self._ways: dict[tuple[str, str], _Way] = {}
        self._watch = selectors.DefaultSelector()
        self._late: list[tuple[float, int, str, bytes]] = []
        self._late_bytes = 0
        self._count = 0
        self._looked = 0.0

    def run(self) -> None:
        """Serve until standard input ends."""
        os.set_blocking(0, False)
        self._watch.register(0, selectors.EVENT_READ, None)
        said = b""
        while True:
            for key, _ in self._watch.select(self._timeout()):
                if key.data is not None:
                    self._read(key.data)
                    continue
                with contextlib.suppress(BlockingIOError):
                    more = os.read(0, 1 << 20)
                    if not more:
                        self._release()
                        return
                    said += more
                *lines, said = said.split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
                    sys.stdout.write("ok\n")
                    sys.stdout.flush()
            self._send_due()
            if self._ways and time.monotonic() - self._looked > _LOOK_SECONDS:  # noqa: TID251
                self._hold()

    def _timeout(self) -> float | None:
        if not self._ways:
            # The kernel forwards, and nothing is under way: the next table wakes it.
            return None
        if not self._late:
            return _LOOK_SECONDS
        return max(0.0, min(_LOOK_SECONDS, self._late[0][0] - time.monotonic()))  # noqa: TID251

    def _take(self, table: dict[str, object]) -> None:
        nodes, ways = table["nodes"], table["ways"]
        assert isinstance(nodes, dict)
        assert isinstance(ways, list)
        self._ways = {(row[0], row[1]): _Way(*row[2:]) for row in ways}
        for name in [name for name in self._nodes if name not in nodes]:
            self._close(self._nodes.pop(name))
        for name, address in nodes.items():
            if name not in self._nodes:
                self._nodes[name] = _Node(address, socket.inet_aton(address)[:3])
        if self._ways:
            self._hold()
        else:
            self._release()

    # -- instead of the kernel, or not

    def _hold(self) -> None:
        """Take packets in place of the kernel, also on links that were made anew."""
        self._looked = time.monotonic()  # noqa: TID251
        for name, node in self._nodes.items():
            link = _link_to(node.network)
            try:
                index = socket.if_nametoindex(link)
            except OSError:
                self._close(node)
                continue
            if node.made is not None and node.index == index:
                self._learn(node)
                continue
            self._close(node)
            node.link = link
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4))
            made.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
            with contextlib.suppress(OSError):
                made.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            made.bind((node.link, _IPV4))
            made.setblocking(False)
            node.made, node.index = made, index
            self._watch.register(made, selectors.EVENT_READ, name)
            _set_forwarding(node.link, False)
            self._learn(node)

    def _release(self) -> None:
        """Let the kernel forward again; what is under way is lost."""
        for node in self._nodes.values():
            self._close(node)
            _set_forwarding(_link_to(node.network), True)
        self._late.clear()
        self._late_bytes = 0

    def _close(self, node: _Node) -> None:
        if node.made is not None:
            self._watch.unregister(node.made)
            node.made.close()
            node.made = None
        node.mac = b""

    def _learn(self, node: _Node) -> None:
        """Find the node's address on its link, by asking the kernel to ask for it."""
        if node.mac:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made, contextlib.suppress(OSError):
            made.setblocking(False)
            made.sendto(b"", (node.address, 9))
        for row in Path("/proc/self/net/arp").read_text().splitlines()[1:]:
            words = row.split()
            if words[-1] == node.link and words[3] != "00:00:00:00:00:00":
                node.mac = bytes.fromhex(words[3].replace(":", ""))

    # -- packets

    def _read(self, name: str) -> None:
        node = self._nodes.get(name)
        for _ in range(64):
            if node is None or node.made is None:
                return
            try:
                packet = node.made.recv(_MOST_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._close(node)
                return
            # After the header: two addresses of six bytes, two of the type, then the packet of IP.
            at = _VNET_BYTES + 14
            if len(packet) < at + 20:
                continue
            node.mac = packet[_VNET_BYTES + 6 : _VNET_BYTES + 12]
            target = packet[at + 16 : at + 19]
            for other, place in self._nodes.items():
                if place.network == target and other != name:
                    self._pass(name, other, packet)
                    break

    def _pass(self, source: str, target: str, packet: bytes) -> None:
        way = self._ways.get((source, target))
        if way is None:
            self._send(target, packet)
            return
        if way.drop and (way.drop >= 1 or self._rng.random() < way.drop):
            return
        now = time.monotonic()  # noqa: TID251
        at = now + way.delay
        if way.jitter:
            at += self._rng.uniform(0, way.jitter)
        if way.rate:
            way.free_at = max(now, way.free_at) + len(packet) / way.rate
            at = max(at, way.free_at)
        way.last = at = max(at, way.last)
        if at <= now:
            self._send(target, packet)
        elif self._late_bytes + len(packet) <= _QUEUE_BYTES:
            self._count += 1
            self._late_bytes += len(packet)
            heapq.heappush(self._late, (at, self._count, target, packet))

    def _send_due(self) -> None:
        now = time.monotonic()  # noqa: TID251
        while self._late and self._late[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._late)
            self._late_bytes -= len(packet)
            self._send(target, packet)

    def _send(self, target: str, packet: bytes) -> None:
        node = self._nodes.get(target)
        if node is None or node.made is None or not node.mac:
            return
        head = packet[:_VNET_BYTES] + node.mac + bytes(6) + packet[_VNET_BYTES + 12 :]
        with contextlib.suppress(OSError):
            node.made.send(head)


def _link_to(network: bytes) -> str:
    """The link that the kernel's route to a node's addresses names; "" where there is none."""
    for row in Path("/proc/self/net/route").read_text().splitlines()[1:]:
        words = row.split()
        # As the machine has the number in memory, so its bytes are in the order of the address.
        if int(words[1], 16).to_bytes(4, sys.byteorder)[:3] == network:
            return words[0]
    return ""


def _set_forwarding(link: str, is_on: bool) -> None:
    with contextlib.suppress(OSError):
        if not link:
            return
        Path(f"/proc/sys/net/ipv4/conf/{link}/forwarding").write_text("1" if is_on else "0")


if __name__ == "__main__":
    Relay(random.Random()).run()
