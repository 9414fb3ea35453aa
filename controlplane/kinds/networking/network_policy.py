"""NetworkPolicies: which traffic pods may receive and send.

Sources: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controlplane.api import meta, names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import addresses, selector
from controlplane.api.validation import causes as fields

NETWORK_POLICIES = Resource(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short_names=("netpol",)
)

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


def default(obj: Obj) -> None:
    """Fill in what was left out: the protocol of ports, and what the policy is about."""
    spec = part(obj, "spec")
    if spec.get("podSelector") is None:
        spec["podSelector"] = {}
    for direction, _ in _DIRECTIONS:
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new policy."""
    return _spec(meta.spec(obj), allows_invalid_values=False, known=())


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed policy; ranges and selectors that were let pass once stay good."""
    before = meta.spec(old)
    was_bad = bool(selector.validate_selector(before.get("podSelector"), ""))
    known = [
        one
        for block in _blocks(before)
        for one in (block.get("cidr") or "", *(block.get("except") or ()))
    ]
    return _spec(meta.spec(new), allows_invalid_values=was_bad, known=known)


def _blocks(spec: Obj) -> Iterator[Obj]:
    for direction, key in _DIRECTIONS:
        for rule in spec.get(direction) or ():
            for peer in rule.get(key) or ():
                if peer.get("ipBlock") is not None:
                    yield peer["ipBlock"]


def _spec(spec: Obj, *, allows_invalid_values: bool, known: Sequence[str]) -> list[Cause]:
    causes = selector.validate_selector(
        spec.get("podSelector"), "spec.podSelector", allows_invalid_values=allows_invalid_values
    )
    for direction, key in _DIRECTIONS:
        for number, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{number}]"
            for index, port in enumerate(rule.get("ports") or ()):
                causes += _port(port, f"{path}.ports[{index}]")
            for index, peer in enumerate(rule.get(key) or ()):
                where = f"{path}.{key}[{index}]"
                causes += _peer(peer, where, allows_invalid_values, known)
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        detail = "may not specify more than two policyTypes"
        return [*causes, fields.invalid("spec.policyTypes", types, detail)]
    for index, kind in enumerate(types):
        if kind not in _TYPES:
            causes.append(fields.not_supported(f"spec.policyTypes[{index}]", kind, _TYPES))
    return causes


def _port(port: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        causes.append(fields.not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
    where = f"{path}.endPort"
    if isinstance(number, int):
        causes += fields.port_number(f"{path}.port", number)
        if end is not None:
            if end < number:
                detail = "must be greater than or equal to `port`"
                causes.append(fields.invalid(where, number, detail))
            causes += fields.port_number(where, end)
        return causes
    if end is not None:
        what = "not specified" if number is None else "non-numeric"
        causes.append(fields.invalid(where, end, f"may not be specified when `port` is {what}"))
    if number is not None:
        causes += fields.each(f"{path}.port", number, names.port_name(number))
    return causes


def _peer(peer: Obj, path: str, allows_invalid_values: bool, known: Sequence[str]) -> list[Cause]:
    causes: list[Cause] = []
    given = [key for key in ("podSelector", "namespaceSelector") if peer.get(key) is not None]
    for key in given:
        causes += selector.validate_selector(
            peer[key], f"{path}.{key}", allows_invalid_values=allows_invalid_values
        )
    block = peer.get("ipBlock")
    if block is not None:
        causes += _block(block, f"{path}.ipBlock", known)
        if given:
            detail = "may not specify both ipBlock and another peer"
            causes.append(fields.forbidden(path, detail))
    elif not given:
        causes.append(fields.required(path, "must specify a peer"))
    return causes


def _block(block: Obj, path: str, known: Sequence[str]) -> list[Cause]:
    outer = block.get("cidr") or ""
    if not outer:
        return [fields.required(f"{path}.cidr")]
    causes = addresses.legacy_range(f"{path}.cidr", outer, known)
    parsed = addresses.parse_range(outer)
    if parsed is None:
        return causes
    for index, inner in enumerate(block.get("except") or ()):
        where = f"{path}.except[{index}]"
        causes += addresses.legacy_range(where, inner, known)
        found = addresses.parse_range(inner)
        if found is None:
            continue
        network, part_of = parsed[1], found[1]
        is_inside = (
            network.version == part_of.version
            and part_of.network_address in network
            and network.prefixlen < part_of.prefixlen
        )
        if not is_inside:
            causes.append(fields.invalid(where, inner, "must be a strict subset of `cidr`"))
    return causes


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Ranges that programs may read differently."""
    del old
    spec, found = meta.spec(obj), list[str]()
    for direction, key in _DIRECTIONS:
        for number, rule in enumerate(spec.get(direction) or ()):
            for index, peer in enumerate(rule.get(key) or ()):
                block = peer.get("ipBlock")
                if block is None:
                    continue
                path = f"spec.{direction}[{number}].{key}[{index}].ipBlock"
                found += addresses.range_warnings(f"{path}.cidr", block.get("cidr") or "")
                for at, inner in enumerate(block.get("except") or ()):
                    found += addresses.range_warnings(f"{path}.except[{at}]", inner)
    return found


def _selector(obj: Obj, now: float) -> str:
    try:
        return str(LabelSelector.from_object(meta.spec(obj).get("podSelector") or {})) or "<none>"
    except ValueError:
        return "<error>"


COLUMNS = (NAME, text("Pod-Selector", _selector, "The pods it is for."), AGE)

KIND = Kind(
    NETWORK_POLICIES,
    strategy=SpecStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
