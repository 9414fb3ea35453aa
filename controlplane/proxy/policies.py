"""NetworkPolicies -> the nftables table that enforces them on one node. Pure.

    forward -> what belongs to a known connection: accept
            -> a pod with itself: accept
            -> @egress-pods  (source)      -> eg-... of that pod
            -> @ingress-pods (destination) -> in-... of that pod
    input   -> the same for egress alone: what a pod sends to its node, where the cluster's names are answered

Only pods of the node that a policy selects stand in the maps; all others may do anything. A pod's chain has the rules
of all its policies, each of which returns where it matches, and ends in `drop`; pods with the same policies share it.
Peers are sets of addresses, so that a pod that comes or goes changes elements, not rules. The node itself reaches its
pods always, as probes must. Addresses are those behind a Service, since its rules have been at work before.

Pods on the network of their node have its address and are no peers of a selector; `ipBlock` meets them. Sources: the
documentation of NetworkPolicy, and the API's own (networking/v1 types).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.kinds.core.pod import views
from controlplane.kinds.core.pod.ports import ports as ports_of
from controlplane.proxy.rules import Table

TABLE = "quorate-policy"
_DIRECTIONS = {"Ingress": ("ingress", "from", "saddr"), "Egress": ("egress", "to", "daddr")}


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that may be a peer: where it is and how it is known."""

    namespace: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Numbers by (name, protocol)."""
    node: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What rules are made of."""

    node: str
    policies: Sequence[Obj]
    members: Sequence[Member]
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by name."""


def member_of(pod: Obj) -> Member | None:
    """The pod as a peer; None without an address of its own, or when it has ended."""
    spec, status = meta.spec(pod), meta.status(pod)
    if spec.get("hostNetwork") or views.is_ended(pod):
        return None
    rows = status.get("podIPs") or ([{"ip": status["podIP"]}] if status.get("podIP") else [])
    addresses = tuple(row["ip"] for row in rows if ":" not in row.get("ip", ":"))
    if not addresses:
        return None
    ports = {
        (str(port["name"]), str(port.get("protocol") or "TCP")): int(port["containerPort"])
        for port in ports_of(spec)
        if port.get("name")
    }
    node = str(spec.get("nodeName") or "")
    return Member(meta.namespace(pod), meta.labels(pod), addresses, ports, node)


def preamble() -> list[str]:
    """Commands that make the table anew with its fixed parts; whatever was in it is gone."""
    t = f"ip {TABLE}"
    known = "ct state established,related accept"
    return [
        f"add table {t}",
        f"delete table {t}",
        f"add table {t}",
        f"add map {t} ingress-pods {{ type ipv4_addr : verdict ; }}",
        f"add map {t} egress-pods {{ type ipv4_addr : verdict ; }}",
        f"add set {t} own {{ type ipv4_addr . ipv4_addr ; }}",
        f"add chain {t} forward {{ type filter hook forward priority 0 ; }}",
        f"add chain {t} input {{ type filter hook input priority 0 ; }}",
        f"add rule {t} forward {known}",
        f"add rule {t} forward ip saddr . ip daddr @own accept",
        f"add rule {t} forward ip saddr vmap @egress-pods",
        f"add rule {t} forward ip daddr vmap @ingress-pods",
        f"add rule {t} input {known}",
        f"add rule {t} input ip saddr vmap @egress-pods",
    ]


def build(world: World) -> Table:
    """The changing part of the table."""
    made = _Builder(world)
    for member in world.members:
        if member.node == world.node:
            made.pod(member)
    return Table(TABLE, made.chains, made.sets, made.elements)


def selects(policy: Obj, member: Member) -> bool:
    """Whether a policy is about a pod."""
    selector = LabelSelector.from_object(meta.spec(policy).get("podSelector") or {})
    return meta.namespace(policy) == member.namespace and selector.matches(member.labels)


class _Builder:
    def __init__(self, world: World) -> None:
        self._world = world
        self.chains: dict[str, tuple[str, ...]] = {}
        self.sets: dict[str, str] = {}
        self.elements: dict[tuple[str, str], str] = {}

    def pod(self, member: Member) -> None:
        """What one pod of the node may receive and send."""
        about = [policy for policy in self._world.policies if selects(policy, member)]
        for direction, (_, _, side) in _DIRECTIONS.items():
            mine = [one for one in about if direction in (meta.spec(one).get("policyTypes") or ())]
            if not mine:
                continue
            rules = tuple(
                f"{match}return".strip()
                for policy in mine
                for match in self._matches(policy, direction, side, member)
            )
            chain = self._chain(direction, rules)
            for address in member.addresses:
                self.elements[f"{direction.lower()}-pods", address] = f"jump {chain}"
                self.elements["own", f"{address} . {address}"] = ""

    def _chain(self, direction: str, rules: tuple[str, ...]) -> str:
        """The chain with these rules; pods for whom the same holds share it."""
        name = f"{direction[:2].lower()}-{_hash(chr(10).join(rules))}"
        self.chains[name] = (*rules, "drop")
        return name

    def _matches(self, policy: Obj, direction: str, side: str, member: Member) -> Iterator[str]:
        """The matching part of each rule, "" or with a space at its end."""
        key, peers_key, _ = _DIRECTIONS[direction]
        for rule in meta.spec(policy).get(key) or ():
            peers = rule.get(peers_key) or ()
            who = list(self._peers(policy, peers, side)) if peers else [""]
            for peer in who:
                yield from (f"{peer}{port}" for port in self._ports(rule, direction, member))

    def _peers(self, policy: Obj, peers: Sequence[Obj], side: str) -> Iterator[str]:
        chosen: set[str] = set()
        for peer in peers:
            if peer.get("ipBlock"):
                yield from _block(peer["ipBlock"], side)
            else:
                chosen |= {
                    address for one in self._selected(policy, peer) for address in one.addresses
                }
        if any(not peer.get("ipBlock") for peer in peers):
            # By what it stands for, not by who is in it: the rule stays while pods come and go.
            name = f"ps-{_hash(repr((meta.namespace(policy), _selectors(peers))))}"
            self.sets[name] = "type ipv4_addr ;"
            for address in chosen:
                self.elements[name, address] = ""
            yield f"ip {side} @{name} "

    def _selected(self, policy: Obj, peer: Obj) -> Iterator[Member]:
        pods = LabelSelector.from_object(peer.get("podSelector") or {})
        spaces = peer.get("namespaceSelector")
        among = LabelSelector.from_object(spaces)
        for member in self._world.members:
            if spaces is None:
                is_there = member.namespace == meta.namespace(policy)
            else:
                labels = self._world.namespaces.get(member.namespace)
                is_there = labels is not None and among.matches(labels)
            if is_there and pods.matches(member.labels):
                yield member

    def _ports(self, rule: Obj, direction: str, member: Member) -> Iterator[str]:
        ports = rule.get("ports") or ()
        if not ports:
            yield ""
        for row in ports:
            protocol, port = str(row.get("protocol") or "TCP"), row.get("port")
            proto = f"meta l4proto {protocol.lower()} "
            if port is None:
                yield proto
            elif isinstance(port, int):
                end = row.get("endPort")
                yield f"{proto}th dport {port}-{end} " if end else f"{proto}th dport {port} "
            elif direction == "Ingress":
                number = member.ports.get((port, protocol))
                if number is not None:
                    yield f"{proto}th dport {number} "
            else:
                yield f"ip daddr . meta l4proto . th dport @{self._named(port, protocol)} "

    def _named(self, port: str, protocol: str) -> str:
        """Where a port of this name is, which is for each pod to say: a set of places."""
        name = f"np-{_hash(f'{port}/{protocol}')}"
        self.sets[name] = "type ipv4_addr . inet_proto . inet_service ;"
        for member in self._world.members:
            number = member.ports.get((port, protocol))
            if number is not None:
                for address in member.addresses:
                    self.elements[name, f"{address} . {protocol.lower()} . {number}"] = ""
        return name


def _selectors(peers: Sequence[Obj]) -> list[Any]:
    return [
        (str(peer.get("podSelector")), str(peer.get("namespaceSelector")))
        for peer in peers
        if not peer.get("ipBlock")
    ]


def _block(block: Obj, side: str) -> Iterator[str]:
    if ":" in block["cidr"]:
        return
    network = ipaddress.IPv4Network(block["cidr"], strict=False)
    match = "" if network.prefixlen == 0 else f"ip {side} {network} "
    excepted = [
        ipaddress.IPv4Network(one, strict=False)
        for one in block.get("except") or ()
        if ":" not in one
    ]
    for one in ipaddress.collapse_addresses(excepted):
        match += f"ip {side} != {one} "
    yield match


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
