"""Links, addresses and routes of a network namespace, by the kernel's own messages (rtnetlink).

A `Netlink` speaks to the namespace in which it was made. Only the standard library is used: a pod's network takes a few
messages, and the process that sends them runs without site packages. Numbers from linux/rtnetlink.h and if_link.h.
"""

import errno
import os
import socket
import struct

_REQUEST, _ACK, _CREATE, _EXCL = 1, 4, 0x400, 0x200
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE = 16, 17, 20, 24
_ERROR = 2
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_UP = 1
_NESTED = 0x8000
_TABLE_MAIN, _TABLE_LOCAL, _PROTOCOL_BOOT = 254, 255, 3
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_UNICAST, _LOCAL, _UNREACHABLE = 1, 2, 7
_ONLINK = 4


def _attribute(kind: int, value: bytes) -> bytes:
    header = struct.pack("HH", len(value) + 4, kind)
    return header + value + b"\0" * (-len(value) % 4)


def _name(text: str) -> bytes:
    return _attribute(_IFLA_IFNAME, text.encode() + b"\0")


def _link(index: int = 0, flags: int = 0, change: int = 0, family: int = 0) -> bytes:
    return struct.pack("BxHiII", family, 0, index, flags, change)


class Netlink:
    """A connection to the kernel; use as a context manager. All methods raise OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def index(self, name: str) -> int:
        """The number of a link of this namespace."""
        return socket.if_nametoindex(name)

    def add_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """A pair of links, both down; the peer is made in another namespace, by its descriptor."""
        other = _link() + _name(peer)
        other += _attribute(_IFLA_NET_NS_FD, struct.pack("I", peer_namespace))
        data = _attribute(_INFO_DATA | _NESTED, _attribute(_VETH_PEER | _NESTED, other))
        info = _attribute(_INFO_KIND, b"veth") + data
        self._ask(_NEWLINK, _link() + _name(name) + _attribute(_IFLA_LINKINFO | _NESTED, info))

    def set_up(self, name: str) -> None:
        """Switch a link on."""
        self._ask(_NEWLINK, _link(self.index(name), _UP, _UP), create=False)

    def delete(self, name: str) -> None:
        """Remove a link, with its peer."""
        self._ask(_DELLINK, _link(self.index(name)), create=False)

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give a link an address."""
        raw = socket.inet_aton(address)
        head = struct.pack("BBBBI", socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, self.index(name))
        both = _attribute(_IFA_LOCAL, raw) + _attribute(_IFA_ADDRESS, raw)
        self._ask(_NEWADDR, head + both)

    def add_route(
        self, destination: str, prefix: int, *, link: str, gateway: str = "", source: str = ""
    ) -> None:
        """A route; `gateway` is taken to be on the link whatever the addresses say.

        `source` is the address of this side for connections that begin here.
        """
        scope, flags = (_SCOPE_UNIVERSE, _ONLINK) if gateway else (_SCOPE_LINK, 0)
        message = self._route(destination, prefix, scope, _UNICAST, flags)
        message += _attribute(_RTA_OIF, struct.pack("I", self.index(link)))
        if gateway:
            message += _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
        if source:
            message += _attribute(_RTA_PREFSRC, socket.inet_aton(source))
        self._ask(_NEWROUTE, message)

    def add_local(self, destination: str, prefix: int) -> None:
        """Take a whole range for addresses of this namespace's own: programs may listen at each of them."""
        message = self._route(destination, prefix, _SCOPE_HOST, _LOCAL, 0, table=_TABLE_LOCAL)
        message += _attribute(_RTA_OIF, struct.pack("I", self.index("lo")))
        self._ask(_NEWROUTE, message)

    def refuse(self, destination: str, prefix: int) -> None:
        """Answer at once that addresses without a better route cannot be reached."""
        self._ask(_NEWROUTE, self._route(destination, prefix, _SCOPE_UNIVERSE, _UNREACHABLE, 0))

    def _route(
        self,
        destination: str,
        prefix: int,
        scope: int,
        kind: int,
        flags: int,
        table: int = _TABLE_MAIN,
    ) -> bytes:
        head = struct.pack(
            "BBBBBBBBI",
            socket.AF_INET, prefix, 0, 0, table, _PROTOCOL_BOOT, scope, kind, flags,
        )  # fmt: skip
        if not prefix:
            return head
        return head + _attribute(_RTA_DST, socket.inet_aton(destination))

    def _ask(self, kind: int, payload: bytes, *, create: bool = True) -> None:
        self._sequence += 1
        flags = _REQUEST | _ACK | ((_CREATE | _EXCL) if create and kind != _DELLINK else 0)
        header = struct.pack("IHHII", len(payload) + 16, kind, flags, self._sequence, 0)
        self._socket.send(header + payload)
        while True:
            answer = self._socket.recv(65536)
            _, answer_kind, _, sequence, _ = struct.unpack_from("IHHII", answer)
            if answer_kind == _ERROR and sequence == self._sequence:
                code = -struct.unpack_from("i", answer, 16)[0]
                if code:
                    name = errno.errorcode.get(code, str(code))
                    raise OSError(code, f"rtnetlink: {os.strerror(code)} ({name})")
                return
