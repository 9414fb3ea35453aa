"""Services and their endpoints -> one nftables table. Pure.

The table has fixed chains at the kernel's hooks, one chain a Service port, one chain an endpoint, and maps from
addresses and ports to Service chains, so that a packet costs one look-up however many Services there are:

    prerouting, output -> services -> @service-ips (address . protocol . port) -> svc-... -> ep-... -> dnat
                                   -> @node-ports  (protocol . port), for the node's own addresses, as are
                                      host ports of its pods
    postrouting        -> masquerade what is marked
    input, forward, output (filter) -> @no-endpoints -> reject, so that a client is told at once

Marked, and so given the node's address, are: an endpoint that reaches itself through the Service, what comes to a
cluster IP from outside the pod network, and outside traffic that may go to other nodes (external traffic policy
Cluster). Everything else keeps its source address.

A name holds a hash of what it stands for, so that an unchanged Service has unchanged chains. Source of the behaviour:
Kubernetes' documentation of virtual IPs, and pkg/proxy/nftables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod import views
from controlplane.kinds.core.pod.ports import ports
from controlplane.proxy import endpoints as eps
from controlplane.proxy.endpoints import Endpoint, NodeView
from controlplane.proxy.frontends import balancer_addresses

TABLE = "quorate-proxy"
MARK = 0x4000
_IP_MAP, _PORT_MAP, _EMPTY_IPS, _EMPTY_PORTS = (
    "service-ips",
    "node-ports",
    "no-endpoint-ips",
    "no-endpoint-ports",
)


@dataclass(frozen=True, slots=True)
class Table:
    """A whole table: chains with their rules, sets by their declaration, elements of maps and sets by their key.

    What an element of a map leads to is its verdict; an element of a set has "".
    """

    name: str = TABLE
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the rules depend on besides objects. `pod_cidr` is the network of all pods; `has_fib` whether the kernel
    tells local addresses (else `node_addresses` are listed)."""

    node: NodeView
    pod_cidr: str = "10.244.0.0/16"
    node_addresses: tuple[str, ...] = ()
    has_fib: bool = True


def preamble(settings: Settings) -> list[str]:
    """Commands that make the table anew with its fixed parts; whatever was in it is gone."""
    t = f"ip {TABLE}"
    local = _is_local(settings)
    return [
        f"add table {t}",
        f"delete table {t}",
        f"add table {t}",
        f"add map {t} {_IP_MAP} {{ type ipv4_addr . inet_proto . inet_service : verdict ; }}",
        f"add map {t} {_PORT_MAP} {{ type inet_proto . inet_service : verdict ; }}",
        f"add map {t} {_EMPTY_IPS} {{ type ipv4_addr . inet_proto . inet_service : verdict ; }}",
        f"add map {t} {_EMPTY_PORTS} {{ type inet_proto . inet_service : verdict ; }}",
        f"add chain {t} services",
        f"add chain {t} mark-for-masquerade",
        f"add chain {t} masquerading",
        f"add chain {t} reject-it",
        f"add chain {t} drop-it",
        f"add chain {t} filter-it",
        f"add chain {t} nat-prerouting {{ type nat hook prerouting priority dstnat ; }}",
        f"add chain {t} nat-output {{ type nat hook output priority -100 ; }}",
        f"add chain {t} nat-postrouting {{ type nat hook postrouting priority srcnat ; }}",
        # Before nat rewrites them, so that what has no endpoint is still recognised.
        f"add chain {t} filter-prerouting {{ type filter hook prerouting priority -110 ; }}",
        f"add chain {t} filter-input {{ type filter hook input priority -110 ; }}",
        f"add chain {t} filter-forward {{ type filter hook forward priority -110 ; }}",
        f"add chain {t} filter-output {{ type filter hook output priority -110 ; }}",
        f"add rule {t} nat-prerouting jump services",
        f"add rule {t} nat-output jump services",
        f"add rule {t} nat-postrouting jump masquerading",
        f"add rule {t} services ip daddr . meta l4proto . th dport vmap @{_IP_MAP}",
        f"add rule {t} services {local} meta l4proto . th dport vmap @{_PORT_MAP}",
        f"add rule {t} mark-for-masquerade meta mark set meta mark or {MARK:#x}",
        f"add rule {t} masquerading meta mark and {MARK:#x} == 0 return",
        f"add rule {t} masquerading meta mark set meta mark xor {MARK:#x}",
        f"add rule {t} masquerading masquerade fully-random",
        f"add rule {t} reject-it meta l4proto tcp reject with tcp reset",
        f"add rule {t} reject-it reject",
        f"add rule {t} drop-it drop",
        f"add rule {t} filter-it ip daddr . meta l4proto . th dport vmap @{_EMPTY_IPS}",
        f"add rule {t} filter-it {local} meta l4proto . th dport vmap @{_EMPTY_PORTS}",
        *(f"add rule {t} filter-{hook} ct state new jump filter-it" for hook in ("input", "forward", "output")),
    ]  # fmt: skip


def _is_local(settings: Settings) -> str:
    if settings.has_fib:
        return "fib daddr type local ip daddr != 127.0.0.0/8"
    return f"ip daddr {{ {', '.join(settings.node_addresses) or '0.0.0.0'} }}"


def build(
    services: Iterable[Obj],
    slices_of: Mapping[tuple[str, str], Iterable[Obj]],
    settings: Settings,
    pods: Iterable[Obj] = (),
) -> Table:
    """The changing part of the table.

    `slices_of` has the EndpointSlices by (namespace, name) of their Service, `pods` are those of the node, for their
    host ports.
    """
    made = _Builder(settings)
    for service in sorted(services, key=meta.key_of):
        if eps.is_proxied(service):
            key = (meta.namespace(service), meta.name(service))
            made.service(service, list(slices_of.get(key, ())))
    for pod in sorted(pods, key=meta.key_of):
        made.host_ports(pod)
    return Table(TABLE, made.chains, made.sets, made.elements)


class _Builder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.chains: dict[str, tuple[str, ...]] = {}
        self.sets: dict[str, str] = {}
        self.elements: dict[tuple[str, str], str] = {}

    def service(self, service: Obj, slices: list[Obj]) -> None:
        """All ports of one Service."""
        for port in meta.spec(service).get("ports") or ():
            protocol = str(port.get("protocol") or "TCP")
            if protocol in ("TCP", "UDP"):
                self._port(service, port, protocol, slices)

    def host_ports(self, pod: Obj) -> None:
        """The ports of the node that lead to one pod; they come before node ports of the same number."""
        spec, address = meta.spec(pod), str(meta.status(pod).get("podIP") or "")
        if spec.get("hostNetwork") or views.is_ended(pod) or not address or ":" in address:
            return
        for port in ports(spec):
            host, protocol = port.get("hostPort"), str(port.get("protocol") or "TCP").lower()
            at = str(port.get("hostIP") or "0.0.0.0")
            if not host or ":" in at or protocol not in ("tcp", "udp"):
                continue
            whole = f"{meta.key_of(pod)}:{at}:{host}/{protocol}>{address}:{port['containerPort']}"
            chain = f"hp-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
            self.chains[chain] = (
                f"ip saddr {{ 127.0.0.0/8, {address} }} jump mark-for-masquerade",
                f"meta l4proto {protocol} dnat to {address}:{port['containerPort']}",
            )
            if at == "0.0.0.0":
                self.elements[_PORT_MAP, f"{protocol} . {host}"] = f"goto {chain}"
                self.elements[_IP_MAP, f"127.0.0.1 . {protocol} . {host}"] = f"goto {chain}"
            else:
                self.elements[_IP_MAP, f"{at} . {protocol} . {host}"] = f"goto {chain}"

    def _port(self, service: Obj, port: Obj, protocol: str, slices: list[Obj]) -> None:
        spec, node = meta.spec(service), self._settings.node
        all_of_them = eps.of_port(slices, str(port.get("name") or ""), protocol, node)
        anywhere, here = eps.for_cluster(all_of_them, node), eps.for_local(all_of_them)
        inside = here if spec.get("internalTrafficPolicy") == "Local" else anywhere
        outside_is_local = spec.get("externalTrafficPolicy") == "Local"
        outside = here if outside_is_local else anywhere
        name, proto, number = _name(service, port), protocol.lower(), int(port["port"])
        affinity = eps.affinity_seconds(spec)
        addresses = [ip for ip in spec.get("clusterIPs") or [spec["clusterIP"]] if ":" not in ip]
        for address in addresses:
            key = f"{address} . {proto} . {number}"
            verdict = self._chain(
                "svc", name, proto, inside, affinity, _from_outside_pods(self._settings, address)
            )
            self._element(_IP_MAP, _EMPTY_IPS, key, verdict, bool(all_of_them))
        external = [*(spec.get("externalIPs") or ()), *balancer_addresses(service)]
        node_port = int(port.get("nodePort") or 0)
        if not external and not node_port:
            return
        marks = () if outside_is_local else ("jump mark-for-masquerade",)
        sources = eps.allowed_sources(spec)
        verdict = self._chain("ext", name, proto, outside, affinity, marks)
        limited = self._limited(name, sources, verdict)
        for address in external:
            if ":" not in address:
                key = f"{address} . {proto} . {number}"
                self._element(_IP_MAP, _EMPTY_IPS, key, limited, bool(all_of_them))
        if node_port:
            key = f"{proto} . {node_port}"
            self._element(_PORT_MAP, _EMPTY_PORTS, key, verdict, bool(all_of_them))

    def _element(self, full: str, empty: str, key: str, verdict: str, has_endpoints: bool) -> None:
        """Send a key to its chain; without endpoints refuse it, or drop it where there are some on other nodes."""
        if verdict:
            self.elements[full, key] = verdict
        else:
            self.elements[empty, key] = "goto drop-it" if has_endpoints else "goto reject-it"

    def _limited(self, name: str, sources: tuple[str, ...], verdict: str) -> str:
        if not sources or not verdict:
            return verdict
        chain = f"fw-{name}"
        self.chains[chain] = (
            f"ip saddr != {{ {', '.join(sources)} }} drop",
            verdict,
        )
        return f"goto {chain}"

    def _chain(
        self,
        kind: str,
        name: str,
        proto: str,
        found: list[Endpoint],
        affinity: int,
        first: tuple[str, ...],
    ) -> str:
        """The chain that spreads over `found`; empty when there is nothing to spread over."""
        if not found:
            return ""
        targets = [self._endpoint(name, proto, one, affinity) for one in found]
        rules = list(first)
        if affinity:
            rules += [f"ip saddr @{_set_of(target)} goto {target}" for target in targets]
        if len(targets) == 1:
            rules.append(f"goto {targets[0]}")
        else:
            spread = ", ".join(f"{n} : goto {target}" for n, target in enumerate(targets))
            rules.append(f"numgen random mod {len(targets)} vmap {{ {spread} }}")
        self.chains[f"{kind}-{name}"] = tuple(rules)
        return f"goto {kind}-{name}"

    def _endpoint(self, name: str, proto: str, one: Endpoint, affinity: int) -> str:
        chain = f"ep-{name}-{one.address.replace('.', '-')}-{one.port}"
        rules = [f"ip saddr {one.address} jump mark-for-masquerade"]
        if affinity:
            self.sets[_set_of(chain)] = (
                f"type ipv4_addr ; flags dynamic,timeout ; timeout {affinity}s ; size 65535 ;"
            )
            rules.append(f"update @{_set_of(chain)} {{ ip saddr }}")
        rules.append(f"meta l4proto {proto} dnat to {one.address}:{one.port}")
        self.chains[chain] = tuple(rules)
        return chain


def _set_of(chain: str) -> str:
    return "af-" + chain.removeprefix("ep-")


def _name(service: Obj, port: Obj) -> str:
    """A chain's name: short enough for the kernel (128 bytes), the Service still to be seen in it."""
    whole = f"{meta.key_of(service)}:{port.get('name') or ''}/{port.get('protocol') or 'TCP'}"
    mark = hashlib.sha256(f"{whole}/{port['port']}".encode()).hexdigest()[:8]
    seen = "".join(
        c if c.isalnum() else "-" for c in f"{meta.namespace(service)}-{meta.name(service)}"
    )
    return f"{mark}-{seen[:48]}"


def _from_outside_pods(settings: Settings, address: str) -> tuple[str, ...]:
    return (f"ip daddr {address} ip saddr != {settings.pod_cidr} jump mark-for-masquerade",)
