"""Rules of IP addresses and address ranges in objects.

New fields take the canonical form only. Fields from before 2025 take any form but those that programs read differently:
leading zeros, IPv4 in IPv6, bits beyond the prefix. Values that are stored already stay good.
Source: apimachinery/pkg/util/validation/ip.go, pkg/apis/core/validation/validation.go (ValidateEndpointIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_BAD_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_BAD_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parse(value: str) -> Address | None:
    """The address of a text, with leading zeros let pass; None when it is none."""
    if "%" in value or not value.isascii():
        return None
    head, colon, tail = value.rpartition(":")
    text = head + colon + (_without_zeros(tail) if "." in tail else tail)
    try:
        return ip_address(text)
    except ValueError:
        return None


def _without_zeros(dotted: str) -> str:
    return ".".join(
        part.lstrip("0") or "0" if part.isdigit() else part for part in dotted.split(".")
    )


def parse_range(value: str) -> tuple[Address, Network] | None:
    """The address and the network of a text such as `10.0.0.1/8`; None when it is none."""
    address_text, slash, length = value.partition("/")
    address = parse(address_text)
    if address is None or not slash or not (length.isascii() and length.isdigit()):
        return None
    if int(length) > address.max_prefixlen:
        return None
    return address, ip_network((address.exploded, int(length)), strict=False)


def show(address: Address) -> str:
    """The canonical text of an address; an IPv4 address in an IPv6 one is shown alone, as Go does."""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _has_leading_zeros(value: str) -> bool:
    dotted = value.rpartition(":")[2]
    return "." in dotted and any(len(part) > 1 and part[0] == "0" for part in dotted.split("."))


def _is_mapped(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def legacy_address(path: str, value: str, known: Sequence[str] = ()) -> list[Cause]:
    """Causes in an address of an old field; those in `known` were stored before."""
    if value in known:
        return []
    address = parse(value)
    if address is None:
        return [fields.invalid(path, value, _BAD_ADDRESS)]
    if _has_leading_zeros(value):
        return [fields.invalid(path, value, "must not have leading 0s")]
    if _is_mapped(address):
        return [fields.invalid(path, value, "must not be an IPv4-mapped IPv6 address")]
    return []


def canonical_address(path: str, value: str) -> list[Cause]:
    """Causes in an address of a new field."""
    causes = legacy_address(path, value)
    address = parse(value)
    if not causes and address is not None and show(address) != value:
        detail = f'must be in canonical form ("{show(address)}")'
        causes.append(fields.invalid(path, value, detail))
    return causes


def legacy_range(path: str, value: str, known: Sequence[str] = ()) -> list[Cause]:
    """Causes in a range of an old field; those in `known` were stored before."""
    if value in known:
        return []
    found = parse_range(value)
    if found is None:
        return [fields.invalid(path, value, _BAD_RANGE)]
    address, network = found
    text, _, length = value.partition("/")
    if _has_leading_zeros(text) or (len(length) > 1 and length[0] == "0"):
        detail = "must not have leading 0s in IP or prefix length"
        return [fields.invalid(path, value, detail)]
    if _is_mapped(address):
        return [fields.invalid(path, value, "must not have an IPv4-mapped IPv6 address")]
    if address != network.network_address:
        detail = "must not have bits set beyond the prefix length"
        return [fields.invalid(path, value, detail)]
    return []


def canonical_range(path: str, value: str) -> list[Cause]:
    """Causes in a range of a new field."""
    causes = legacy_range(path, value)
    found = parse_range(value)
    if not causes and found is not None and str(found[1]) != value:
        detail = f'must be in canonical form ("{found[1]}")'
        causes.append(fields.invalid(path, value, detail))
    return causes


def endpoint_address(path: str, value: str) -> list[Cause]:
    """Causes in an address that pods of other nodes are to reach."""
    address = parse(value)
    if address is None:
        return [fields.invalid(path, value, "must be a valid IP address")]
    link_local = _multicast_range(address)
    rules = (
        (address.is_unspecified, f"may not be unspecified ({value})"),
        (address.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (
            address.is_link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            address in link_local,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    )
    return [fields.invalid(path, value, detail) for is_so, detail in rules if is_so]


def _multicast_range(address: Address) -> Network:
    return ip_network("224.0.0.0/24" if address.version == 4 else "ff02::/16")


def address_warnings(path: str, value: str) -> list[str]:
    """What programs may read differently in an address that is let pass."""
    address = parse(value)
    if address is None:
        return []
    if _has_leading_zeros(value) or _is_mapped(address):
        return [f'{path}: non-standard IP address "{value}" is invalid: use "{show(address)}"']
    if address.version == 6 and str(address) != value:
        return [
            f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{address}")'
        ]
    return []


def range_warnings(path: str, value: str) -> list[str]:
    """What programs may read differently in a range that is let pass."""
    found = parse_range(value)
    if found is None:
        return []
    address, network = found
    text, _, length = value.partition("/")
    warnings = []
    if address != network.network_address:
        single = f"{address}/{address.max_prefixlen}"
        warnings.append(
            f'{path}: CIDR value "{value}" is ambiguous in this context '
            f'(should be "{network}" or "{single}"?)'
        )
    if _has_leading_zeros(text) or (len(length) > 1 and length[0] == "0") or _is_mapped(address):
        warnings.append(f'{path}: non-standard CIDR value "{value}" is invalid: use "{network}"')
    if not warnings and address.version == 6 and f"{address}/{length}" != value:
        warnings.append(
            f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format '
            f'("{address}/{length}")'
        )
    return warnings
