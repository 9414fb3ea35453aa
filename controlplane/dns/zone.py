"""The cluster's names and what they stand for. Pure.

Follows the DNS specification of Kubernetes, version 1.1.0 (github.com/kubernetes/dns, docs/specification.md), and where
that leaves a choice, what CoreDNS's kubernetes plugin answers:

    <service>.<ns>.svc.<domain>              A, AAAA   cluster IPs; of a headless Service all ready endpoints
                                             CNAME     of an ExternalName
    _<port>._<protocol>.<service>....        SRV       the Service, or each endpoint of a headless one
    <hostname>.<service>.<ns>.svc.<domain>   A, AAAA   one endpoint; without a hostname its address with dashes
    <a-b-c-d>.<ns>.pod.<domain>              A, AAAA   the address itself
    dns-version.<domain>                     TXT       1.1.0
    reverse names                            PTR       Services, and endpoints of headless ones

A name that exists with other types is answered without records (NODATA), as are the names between (`svc.<domain>`); all
other names below the domain do not exist (NXDOMAIN). Case does not matter.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj

SERVICE_LABEL = "kubernetes.io/service-name"
SCHEMA_VERSION = "1.1.0"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; an SRV has (priority, weight, port, target) as its `data`."""

    name: str
    kind: str
    data: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`is_ours` says whether the name lies in the zone; `exists` tells NODATA from NXDOMAIN."""

    is_ours: bool
    exists: bool = False
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()


NOT_OURS = Answer(False)
NO_NAME = Answer(True)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    address: str
    hostname: str
    ports: tuple[tuple[str, str, int], ...]

    @property
    def label(self) -> str:
        """The name of the endpoint below its Service."""
        return self.hostname or self.address.replace(".", "-").replace(":", "-")


class Zone:
    """All Services and endpoints; questions are answered from what was put in last."""

    def __init__(self, domain: str = "cluster.local") -> None:
        self.domain = domain.strip(".").lower()
        self._services: dict[tuple[str, str], Obj] = {}
        # (namespace, service) -> slice's name -> slice.
        self._slices: dict[tuple[str, str], dict[str, Obj]] = {}
        self._by_address: dict[str, set[tuple[str, str]]] = {}
        self._namespaces: dict[str, int] = {}
        self.version = 0

    def put_service(self, service: Obj) -> None:
        """A Service was made or changed."""
        self.remove_service(service)
        key = (meta.namespace(service), meta.name(service))
        self._services[key] = service
        self._namespaces[key[0]] = self._namespaces.get(key[0], 0) + 1
        self._index(_addresses(service), key)

    def remove_service(self, service: Obj) -> None:
        """A Service is gone."""
        self.version += 1
        key = (meta.namespace(service), meta.name(service))
        old = self._services.pop(key, None)
        if old is None:
            return
        self._namespaces[key[0]] -= 1
        if not self._namespaces[key[0]]:
            del self._namespaces[key[0]]
        self._unindex(_addresses(old), key)

    def put_slice(self, part: Obj) -> None:
        """An EndpointSlice was made or changed."""
        self.remove_slice(part)
        key = _service_of(part)
        if key is None:
            return
        self._slices.setdefault(key, {})[meta.name(part)] = part
        self._index(_slice_addresses(part), key)

    def remove_slice(self, part: Obj) -> None:
        """An EndpointSlice is gone."""
        self.version += 1
        # The label may have changed since: the slice is looked for by name where it was.
        key = _service_of(part)
        for place in [key] if key in self._slices else list(self._slices):
            if place is None or place[0] != meta.namespace(part):
                continue
            old = self._slices[place].pop(meta.name(part), None)
            if old is not None:
                kept = {a for one in self._slices[place].values() for a in _slice_addresses(one)}
                self._unindex((a for a in _slice_addresses(old) if a not in kept), place)
            if not self._slices[place]:
                del self._slices[place]

    def _index(self, addresses: Iterable[str], key: tuple[str, str]) -> None:
        for address in addresses:
            self._by_address.setdefault(address, set()).add(key)

    def _unindex(self, addresses: Iterable[str], key: tuple[str, str]) -> None:
        for address in addresses:
            held = self._by_address.get(address)
            if held is not None:
                held.discard(key)
                if not held:
                    del self._by_address[address]

    def answer(self, name: str, kind: str) -> Answer:
        """What the zone says to a question; `kind` is a type's name or ANY."""
        low = name.rstrip(".").lower()
        address = _reversed_address(low)
        if address is not None:
            return self._reverse(low, address, kind)
        if low != self.domain and not low.endswith("." + self.domain):
            return NOT_OURS
        labels = low[: -len(self.domain)].rstrip(".").split(".") if low != self.domain else []
        return self._forward(low, labels, kind)

    def _forward(self, name: str, labels: list[str], kind: str) -> Answer:
        match labels:
            case [] | ["svc"] | ["pod"]:
                return Answer(True, True)
            case ["dns-version"]:
                return _of_kind([Record(name, "TXT", SCHEMA_VERSION)], kind)
            case [namespace, "svc" | "pod"]:
                return Answer(True, namespace in self._namespaces)
            case [dashed, _, "pod"]:
                return _pod(name, dashed, kind)
            case [service, namespace, "svc"]:
                return self._service(name, (namespace, service), kind)
            case [label, service, namespace, "svc"]:
                return self._below(name, label, (namespace, service), kind)
            case [port, protocol, service, namespace, "svc"]:
                return self._port(name, port, protocol, (namespace, service), kind)
        return NO_NAME

    def _service(self, name: str, key: tuple[str, str], kind: str) -> Answer:
        service = self._services.get(key)
        if service is None:
            return NO_NAME
        spec = meta.spec(service)
        if spec.get("type") == "ExternalName":
            target = str(spec.get("externalName") or "").rstrip(".")
            return Answer(True, True, (Record(name, "CNAME", target),))
        if _is_headless(service):
            endpoints = self._ready(key, service)
            if not endpoints:
                return NO_NAME
            return _of_kind([_address(name, one.address) for one in _unique(endpoints)], kind)
        return _of_kind([_address(name, one) for one in _addresses(service)], kind)

    def _below(self, name: str, label: str, key: tuple[str, str], kind: str) -> Answer:
        """One endpoint by its name; or `_<protocol>`, which only has names below."""
        service = self._services.get(key)
        if service is None:
            return NO_NAME
        if label.startswith("_"):
            return Answer(True, any(proto == label for _, proto, _ in self._ports(key, service)))
        if not _is_headless(service):
            return NO_NAME
        found = [one for one in self._ready(key, service) if one.label == label]
        if not found:
            return NO_NAME
        return _of_kind([_address(name, one.address) for one in _unique(found)], kind)

    def _port(self, name: str, port: str, protocol: str, key: tuple[str, str], kind: str) -> Answer:
        service = self._services.get(key)
        if service is None or not port.startswith("_") or not protocol.startswith("_"):
            return NO_NAME
        base = f"{key[1]}.{key[0]}.svc.{self.domain}"
        if _is_headless(service):
            targets = [
                (f"{one.label}.{base}", number, one.address)
                for one in self._ready(key, service)
                for port_name, proto, number in one.ports
                if (f"_{port_name}", f"_{proto}") == (port, protocol)
            ]
        else:
            targets = [
                (base, number, address)
                for port_name, proto, number in self._ports(key, service)
                if (f"_{port_name}", proto) == (port, protocol)
                for address in _addresses(service)[:1]
            ]
        if not targets:
            return NO_NAME
        weight = max(100 // len(targets), 1)
        records = [
            Record(name, "SRV", (0, weight, number, target)) for target, number, _ in targets
        ]
        extra = tuple(dict.fromkeys(_address(target, address) for target, _, address in targets))
        found = _of_kind(records, kind)
        return Answer(True, True, found.records, extra if found.records else ())

    def _ports(self, key: tuple[str, str], service: Obj) -> Iterator[tuple[str, str, int]]:
        """(name, `_protocol`, number) of a Service's ports; those of its endpoints when it is headless."""
        if _is_headless(service):
            for one in self._ready(key, service):
                for name, protocol, number in one.ports:
                    yield name, f"_{protocol}", number
            return
        for port in meta.spec(service).get("ports") or ():
            protocol = str(port.get("protocol") or "TCP").lower()
            yield str(port.get("name") or ""), f"_{protocol}", int(port.get("port") or 0)

    def _ready(self, key: tuple[str, str], service: Obj) -> list[_Endpoint]:
        """The endpoints that names lead to, in a fixed order."""
        all_of_them = bool(meta.spec(service).get("publishNotReadyAddresses"))
        found = []
        for name in sorted(self._slices.get(key, ())):
            part = self._slices[key][name]
            ports = tuple(
                (
                    str(port.get("name") or ""),
                    str(port.get("protocol") or "TCP").lower(),
                    int(port["port"]),
                )
                for port in part.get("ports") or ()
                if port.get("port")
            )
            for one in part.get("endpoints") or ():
                if not all_of_them and (one.get("conditions") or {}).get("ready") is False:
                    continue
                for address in one.get("addresses") or ():
                    hostname = str(one.get("hostname") or "").lower()
                    found.append(_Endpoint(str(address), hostname, ports))
        return found

    def _reverse(self, name: str, address: str, kind: str) -> Answer:
        keys = self._by_address.get(address)
        if not keys:
            return NOT_OURS
        targets = []
        for key in sorted(keys):
            service = self._services.get(key)
            if service is None:
                continue
            base = f"{key[1]}.{key[0]}.svc.{self.domain}"
            if address in _addresses(service):
                targets.append(base)
            elif _is_headless(service):
                targets += [
                    f"{one.label}.{base}"
                    for one in _unique(self._ready(key, service))
                    if one.address == address
                ]
        if not targets:
            return NOT_OURS
        return _of_kind([Record(name, "PTR", target) for target in targets], kind)


def _unique(endpoints: Iterable[_Endpoint]) -> list[_Endpoint]:
    """Each address and name once: slices of several ports list an endpoint more than once."""
    return list({(one.address, one.label): one for one in endpoints}.values())


def _of_kind(records: list[Record], kind: str) -> Answer:
    return Answer(True, True, tuple(one for one in records if kind in (one.kind, "ANY")))


def _address(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _addresses(service: Obj) -> list[str]:
    spec = meta.spec(service)
    found = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [str(one) for one in found if one and one != "None"]


def _is_headless(service: Obj) -> bool:
    return meta.spec(service).get("clusterIP") == "None"


def _slice_addresses(part: Obj) -> list[str]:
    return [str(a) for one in part.get("endpoints") or () for a in one.get("addresses") or ()]


def _service_of(part: Obj) -> tuple[str, str] | None:
    labels: Mapping[str, str] = meta.metadata(part).get("labels") or {}
    name = labels.get(SERVICE_LABEL)
    return (meta.namespace(part), str(name)) if name else None


def _pod(name: str, dashed: str, kind: str) -> Answer:
    """`10-244-1-5` is the address 10.244.1.5, whether there is such a pod or not (CoreDNS's `pods insecure`)."""
    text = dashed.replace("-", ".") if dashed.count("-") == 3 else dashed.replace("-", ":")
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError:
        return NO_NAME
    return _of_kind([_address(name, address)], kind)


def _reversed_address(name: str) -> str | None:
    """The address of a reverse name; None when `name` is none."""
    if name.endswith(".in-addr.arpa"):
        text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    else:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
