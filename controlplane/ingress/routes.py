"""Which Service a request is for. Pure.

Hosts: an exact one comes before a wildcard, which stands for one label, and that before rules without a host. Paths:
the longest that matches wins, `Exact` before `Prefix` where they are alike; `Prefix` matches whole elements;
`ImplementationSpecific` is `Prefix` here. A host that has no matching path, and any other host, gets the default
backend of the oldest Ingress that has one. Where two Ingresses say different things of the same host and path, the
older one counts. Source: the documentation of Ingress, and networking/v1's types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.networking.ingress import CLASS_ANNOTATION

CLASS = "quorate"
CONTROLLER = "quorate.dev/ingress"


@dataclass(frozen=True, slots=True)
class Target:
    """A Service's port, by number or name."""

    namespace: str
    service: str
    port: int | str


@dataclass(frozen=True, slots=True)
class Route:
    """A path of a host."""

    path: str
    is_exact: bool
    target: Target | None
    """None: a backend that is no Service, which nobody can serve."""

    def matches(self, path: str) -> bool:
        """Whether a request's path is this one's."""
        if self.is_exact:
            return path == self.path
        prefix = self.path.rstrip("/")
        return path == prefix or path.startswith(prefix + "/")

    @property
    def rank(self) -> tuple[int, bool]:
        """Greater comes first."""
        return len(self.path.rstrip("/") or "/"), self.is_exact


@dataclass(frozen=True, slots=True)
class Routes:
    """All rules, by host ("" without one), each host's in the order in which they are tried."""

    by_host: Mapping[str, Sequence[Route]] = field(default_factory=dict)
    default: Target | None = None

    def find(self, host: str, path: str) -> Target | None:
        """Where a request goes; None where nobody waits for it."""
        for name in _names(host):
            rows = self.by_host.get(name)
            if rows is None:
                continue
            for route in rows:
                if route.matches(path):
                    return route.target
            break
        return self.default

    def targets(self) -> set[Target]:
        """All that is named."""
        found = {one.target for rows in self.by_host.values() for one in rows}
        return {one for one in (*found, self.default) if one is not None}


def _names(host: str) -> Iterator[str]:
    """Under what a host's rules may stand, in the order of preference."""
    name = host_of(host)
    yield name
    _, dot, rest = name.partition(".")
    if dot:
        yield f"*.{rest}"
    yield ""


def host_of(header: str) -> str:
    """The name in a Host header: in small letters, without port and final dot."""
    name = header.strip().lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    return name.rstrip(".")


def is_ours(ingress: Obj, classes: Iterable[Obj]) -> bool:
    """Whether this controller serves an Ingress: by its class's controller, or the old annotation.

    One without either belongs to nobody: the class by default is given by admission when it is made.
    """
    name = meta.spec(ingress).get("ingressClassName") or meta.annotations(ingress).get(
        CLASS_ANNOTATION
    )
    return any(
        meta.name(one) == name and meta.spec(one).get("controller") == CONTROLLER for one in classes
    )


def build(ingresses: Iterable[Obj]) -> Routes:
    """The table of these Ingresses."""
    by_host: dict[str, dict[tuple[str, bool], Route]] = {}
    default: Target | None = None
    order = sorted(ingresses, key=lambda one: (meta.creation_timestamp(one), meta.key_of(one)))
    for ingress in order:
        spec = meta.spec(ingress)
        if default is None and spec.get("defaultBackend"):
            default = _target(ingress, spec["defaultBackend"])
        for rule in spec.get("rules") or ():
            rows = by_host.setdefault((rule.get("host") or "").lower(), {})
            for row in (rule.get("http") or {}).get("paths") or ():
                path, is_exact = row.get("path") or "/", row.get("pathType") == "Exact"
                route = Route(path, is_exact, _target(ingress, row.get("backend") or {}))
                rows.setdefault((path, is_exact), route)
    return Routes(
        {
            host: sorted(rows.values(), key=lambda one: one.rank, reverse=True)
            for host, rows in by_host.items()
        },
        default,
    )


def _target(ingress: Obj, backend: Obj) -> Target | None:
    service = backend.get("service")
    if not service:
        return None
    port = service.get("port") or {}
    number = port.get("number") or port.get("name") or 0
    return Target(meta.namespace(ingress), str(service.get("name")), number)


def certificates(ingresses: Iterable[Obj]) -> dict[str, tuple[str, str]]:
    """The Secrets to serve hosts with: (namespace, name) by host; the older Ingress counts.

    TLS that names no hosts is for those of the rules, "" for rules without one.
    """
    found: dict[str, tuple[str, str]] = {}
    order = sorted(ingresses, key=lambda one: (meta.creation_timestamp(one), meta.key_of(one)))
    for ingress in order:
        spec = meta.spec(ingress)
        for row in spec.get("tls") or ():
            if not row.get("secretName"):
                continue
            own = [rule.get("host") or "" for rule in spec.get("rules") or ()]
            for host in row.get("hosts") or own:
                found.setdefault(host.lower(), (meta.namespace(ingress), row["secretName"]))
    return found


def certificate_for(found: Mapping[str, tuple[str, str]], name: str) -> tuple[str, str] | None:
    """The Secret for the name a client asks for."""
    return next((found[one] for one in _names(name) if one in found), None)
