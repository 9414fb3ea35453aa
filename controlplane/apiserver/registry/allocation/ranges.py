"""Numbers and addresses that may be taken, and in which order they are tried. Pure.

As upstream, the lower part of a range is left for those that ask for a fixed value, and is used last.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from controlplane.api.validation.addresses import Address

# More tries than this are a search through a full range.
MAX_TRIES = 4096
_MAX_SIZE = 1 << 16


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses of Services of one family."""

    network: IPv4Network | IPv6Network

    @property
    def family(self) -> str:
        """IPv4 or IPv6."""
        return f"IPv{self.network.version}"

    @property
    def size(self) -> int:
        """How many can be taken: not the network's own, not the last one of IPv4, and 65536 at most."""
        count = self.network.num_addresses - (2 if self.network.version == 4 else 1)
        return max(min(count, _MAX_SIZE), 0)

    def contains(self, address: Address) -> bool:
        """Whether the address can be taken."""
        if address.version != self.network.version or address not in self.network:
            return False
        return 1 <= int(address) - int(self.network.network_address) <= self.size

    def candidates(self, seed: str) -> Iterator[str]:
        """Addresses in the order in which they are tried for a Service, whose name is the seed."""
        reserved = min(max(16, self.size // 16), 256) if self.size > 32 else 0
        for offset in _order(self.size, reserved, seed):
            yield str(self.network[1 + offset])


def parse_ranges(text: str) -> list[AddressRange]:
    """The ranges of a flag's value: networks joined by commas, the default family first; ValueError for others."""
    return [AddressRange(ip_network(part.strip())) for part in text.split(",")]


def first_address(text: str) -> str:
    """The address of the API's own Service: the first one of the first range."""
    return str(parse_ranges(text)[0].network[1])


@dataclass(frozen=True, slots=True)
class PortRange:
    """The node ports: `[first, last]`."""

    first: int = 30000
    last: int = 32767

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def candidates(self, seed: str) -> Iterator[int]:
        """Ports in the order in which they are tried."""
        size = self.last - self.first + 1
        reserved = min(max(16, size // 32), 128) if size > 32 else 0
        for offset in _order(size, reserved, seed):
            yield self.first + offset


def _order(size: int, reserved: int, seed: str) -> Iterator[int]:
    """All offsets, those that are not reserved first, from a place that the seed chooses."""
    free = size - reserved
    start = zlib.crc32(seed.encode())
    for step in range(min(free, MAX_TRIES)):
        yield reserved + (start + step) % free
    yield from range(reserved - 1, -1, -1)
