"""IP addresses, networks and URLs in CEL.

Source: k8s.io/apiserver/pkg/cel/library/{ip,cidr,urls}.go.
"""

import ipaddress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from controlplane.api.cel import tagged
from controlplane.api.cel.tagged import CIDR, IP, URL, FunctionError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _address(text: str) -> Address | None:
    """The address, None for what upstream refuses: zones and IPv4 written as IPv6."""
    if "%" in text or not text.isascii():
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped else found


def is_ip(text: str) -> bool:
    """Whether `text` is an address."""
    return _address(text) is not None


def make_ip(text: str) -> dict[str, Any]:
    """The address in `text`."""
    found = _address(text)
    if found is None:
        raise FunctionError(f"IP Address {text!r} parse error during conversion from string")
    return tagged.make(IP, str(found))


def is_canonical(text: str) -> bool:
    """Whether `text` is the shortest lower-case form of the address."""
    return str(_ip(make_ip(text), "ip.isCanonical")) == text


def _ip(value: Any, function: str) -> Address:
    return ipaddress.ip_address(tagged.content(value, IP, function))


def family(value: Any) -> int:
    """4 or 6."""
    return _ip(value, "family").version


def is_unspecified(value: Any) -> bool:
    """0.0.0.0 or ::."""
    return _ip(value, "isUnspecified").is_unspecified


def is_loopback(value: Any) -> bool:
    """127.0.0.0/8 or ::1."""
    return _ip(value, "isLoopback").is_loopback


def is_link_local_multicast(value: Any) -> bool:
    """224.0.0.0/24 or ff02::/16."""
    found = _ip(value, "isLinkLocalMulticast")
    network = "224.0.0.0/24" if found.version == 4 else "ff02::/16"
    return found in ipaddress.ip_network(network)


def is_link_local_unicast(value: Any) -> bool:
    """169.254.0.0/16 or fe80::/10."""
    return _ip(value, "isLinkLocalUnicast").is_link_local


def is_global_unicast(value: Any) -> bool:
    """As Go means it: private addresses count, only special ones do not."""
    found = _ip(value, "isGlobalUnicast")
    is_broadcast = found.version == 4 and int(found) == 0xFFFFFFFF
    return not (
        is_broadcast
        or found.is_unspecified
        or found.is_loopback
        or found.is_multicast
        or found.is_link_local
    )


def _network(text: str) -> Network | None:
    base, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or _address(base) is None:
        return None
    if len(bits) > 1 and bits.startswith("0"):
        return None
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        return None


def is_cidr(text: str) -> bool:
    """Whether `text` is an address with a prefix length."""
    return _network(text) is not None


def make_cidr(text: str) -> dict[str, Any]:
    """The network in `text`."""
    found = _network(text)
    if found is None:
        raise FunctionError("network address parse error during conversion from string")
    return tagged.make(CIDR, str(found))


def _cidr(value: Any, function: str) -> Network:
    return ipaddress.ip_interface(tagged.content(value, CIDR, function))


def contains_ip(network: Any, address: Any) -> bool:
    """Whether the address (an IP or text) lies in the network."""
    value = make_ip(address) if isinstance(address, str) else address
    return _ip(value, "containsIP") in _cidr(network, "containsIP").network


def contains_cidr(network: Any, other: Any) -> bool:
    """Whether the other network (a CIDR or text) lies wholly in the network."""
    outer = _cidr(network, "containsCIDR").network
    value = make_cidr(other) if isinstance(other, str) else other
    inner = _cidr(value, "containsCIDR").network
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def cidr_ip(value: Any) -> dict[str, Any]:
    """The address of the network, as it was written."""
    return tagged.make(IP, str(_cidr(value, "ip").ip))


def masked(value: Any) -> dict[str, Any]:
    """The network with the bits of the host at zero."""
    return tagged.make(CIDR, str(_cidr(value, "masked").network))


def prefix_length(value: Any) -> int:
    """How many bits the network fixes."""
    return _cidr(value, "prefixLength").network.prefixlen


def is_url(text: str) -> bool:
    """Whether `text` is an absolute URI or an absolute path."""
    if not text or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        return False
    if text.startswith("/"):
        return True
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - refuses ports that are no numbers
    except ValueError:
        return False
    return bool(parts.scheme) and parts.scheme[0].isalpha()


def make_url(text: str) -> dict[str, Any]:
    """The URL in `text`."""
    if not is_url(text):
        raise FunctionError(
            f"URL parse error during conversion from string: parse {text!r}: invalid URI for request"
        )
    return tagged.make(URL, text)


def url_part(value: Any, part: str) -> str:
    """Scheme, host (with its port), hostname, port or escaped path; empty where there is none."""
    parts = urlsplit(str(tagged.content(value, URL, part)))
    host = parts.netloc.rpartition("@")[2]
    if part == "getScheme":
        return parts.scheme
    if part == "getHost":
        return host
    if part == "getHostname":
        return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if part == "getPort":
        return str(parts.port) if parts.port is not None else ""
    return parts.path


def url_query(value: Any) -> dict[str, list[str]]:
    """The query's parameters, each with its values in order."""
    query = urlsplit(tagged.content(value, URL, "getQuery")).query
    return {unquote(k): v for k, v in parse_qs(query, keep_blank_values=True).items()}
