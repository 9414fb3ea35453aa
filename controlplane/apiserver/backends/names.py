"""How a URL names what a request is passed on to: `name`, `name:port`, `scheme:name:port`; the path behind it. Pure.

Sources: apimachinery/pkg/util/net/port_split.go, apiserver/pkg/endpoints/handlers/get.go (sub-paths).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from controlplane.apiserver.backends.links import joined

_SCHEMES = ("", "http", "https")


@dataclass(frozen=True, slots=True)
class Name:
    """A name with what it says of scheme and port; both may be empty, and a port may be a name itself."""

    name: str
    scheme: str = ""
    port: str = ""


def parse(text: str) -> Name | None:
    """The parts; None for what has no name, another scheme or too many parts."""
    parts = text.split(":")
    scheme, name, port = ("", "", "")
    if len(parts) == 1:
        [name] = parts
    elif len(parts) == 2:
        name, port = parts
    elif len(parts) == 3:
        scheme, name, port = parts
    return Name(name, scheme, port) if name and scheme in _SCHEMES else None


def sub_path(rest: Sequence[str], path: str) -> str:
    """What of a request's path the backend is asked for; empty when there is nothing, not even a slash."""
    text = "/".join(rest)
    if text and not text.startswith("/"):
        text = "/" + text
    if path.endswith("/") and not text.endswith("/"):
        text += "/"
    return joined("", text) if text else ""


def is_public(address: str) -> bool:
    """Whether an address may be a backend's: one of a host, neither loopback, link-local, multicast nor unspecified."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return not (
        mapped.is_loopback
        or mapped.is_link_local
        or mapped.is_multicast
        or mapped.is_unspecified
        or str(mapped) == "255.255.255.255"
    )


def host_and_port(host: str, port: int | str) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
