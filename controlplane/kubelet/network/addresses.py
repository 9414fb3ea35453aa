"""Pod addresses out of the node's range; on Linux every address in 127.0.0.0/8 can be bound without any set-up."""

import ipaddress
from collections.abc import Iterator


class NoAddressLeftError(Exception):
    """The range is used up."""


class AddressPool:
    """Hands out addresses round robin, so that one just freed is not at once someone else's."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr)
        self.cidr = str(network)
        self._first = int(network.network_address) + 2
        self._last = int(network.broadcast_address) - 1
        self._next = self._first
        self._held: dict[str, str] = {}

    def take(self, owner: str, preferred: str = "") -> str:
        """The address of `owner`; the one it had before, if that is free. Idempotent."""
        if owner in self._held:
            return self._held[owner]
        taken = set(self._held.values())
        if preferred and preferred not in taken and self._contains(preferred):
            self._held[owner] = preferred
            return preferred
        for number in self._candidates():
            address = str(ipaddress.ip_address(number))
            if address not in taken:
                self._next = number + 1
                self._held[owner] = address
                return address
        raise NoAddressLeftError(f"no address left in {self.cidr}")

    def release(self, owner: str) -> None:
        """Give it back; idempotent."""
        self._held.pop(owner, None)

    def _contains(self, address: str) -> bool:
        return self._first <= int(ipaddress.ip_address(address)) <= self._last

    def _candidates(self) -> Iterator[int]:
        yield from range(self._next, self._last + 1)
        yield from range(self._first, min(self._next, self._last + 1))


def own_network(cidr: str) -> str:
    """The range for pods that have a network of their own: a loopback range's counterpart in 10.244.0.0/16.

    Any other range is taken as it is. So one setting names the pods of a node whatever its runtime.
    """
    network = ipaddress.ip_network(cidr)
    if not network.is_loopback:
        return str(network)
    low = int(network.network_address) & 0xFFFF
    base = int(ipaddress.ip_address("10.244.0.0")) | low
    return f"{ipaddress.ip_address(base)}/{max(network.prefixlen, 16)}"
