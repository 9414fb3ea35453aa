"""Ingresses: HTTP from outside to services, by host and path.

Sources: pkg/apis/networking/validation/validation.go, pkg/registry/networking/ingress.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.kinds.networking.references import validate_reference

INGRESSES = Resource(
    "networking.k8s.io",
    "v1",
    "Ingress",
    "ingresses",
    short_names=("ing",),
    storage="ingress",
    subresources=(STATUS,),
)

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_NOT_AN_ADDRESS = "must be a DNS name, not an IP address"
_SHOWN_HOSTS = 3


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new ingress."""
    spec = meta.spec(obj)
    causes = _spec(spec, allows_bad_secrets=False, allows_bad_wildcards=False)
    noted, name = meta.annotations(obj).get(CLASS_ANNOTATION), spec.get("ingressClassName")
    if noted is not None and name is not None and noted != name:
        detail = "must match `ingressClassName` when both are specified"
        causes.append(fields.invalid(f"annotations.{CLASS_ANNOTATION}", noted, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed ingress; two sorts of mistakes that were let pass once stay good."""
    before = meta.spec(old)
    bad_secrets = any(_secret_problems(row) for row in before.get("tls") or ())
    bad_wildcards = any(
        "*" in (rule.get("host") or "") and _http(rule, "") for rule in before.get("rules") or ()
    )
    return _spec(meta.spec(new), allows_bad_secrets=bad_secrets, allows_bad_wildcards=bad_wildcards)


def _spec(spec: Obj, *, allows_bad_secrets: bool, allows_bad_wildcards: bool) -> list[Cause]:
    causes: list[Cause] = []
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        causes.append(fields.invalid("spec", spec.get("rules"), detail))
    if backend is not None:
        causes += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        path, host = f"spec.rules[{index}]", rule.get("host") or ""
        if host:
            causes += _host(host, f"{path}.host", refuses_addresses=True)
        if "*" not in host or not allows_bad_wildcards:
            causes += _http(rule, path)
    for index, row in enumerate(spec.get("tls") or ()):
        path = f"spec.tls[{index}]"
        for number, host in enumerate(row.get("hosts") or ()):
            causes += _host(host, f"{path}.hosts[{number}]", refuses_addresses=False)
        if not allows_bad_secrets:
            problems = _secret_problems(row)
            causes += fields.each(f"{path}.secretName", row.get("secretName"), problems)
    name = spec.get("ingressClassName")
    if name is not None:
        causes += fields.each("spec.ingressClassName", name, names.dns_subdomain(name))
    return causes


def _host(host: str, path: str, *, refuses_addresses: bool) -> list[Cause]:
    causes: list[Cause] = []
    if refuses_addresses and addresses.parse(host) is not None:
        causes.append(fields.invalid(path, host, _NOT_AN_ADDRESS))
    rule = names.wildcard_subdomain if "*" in host else names.dns_subdomain
    return causes + fields.each(path, host, rule(host))


def _secret_problems(row: Obj) -> list[str]:
    name = row.get("secretName")
    return names.dns_subdomain(name) if name else []


def _http(rule: Obj, path: str) -> list[Cause]:
    http = rule.get("http")
    if http is None:
        return []
    paths, where = http.get("paths") or [], f"{path}.http.paths"
    if not paths:
        return [fields.required(where)]
    return [cause for index, row in enumerate(paths) for cause in _path(row, f"{where}[{index}]")]


def _path(row: Obj, path: str) -> list[Cause]:
    kind, value, where = row.get("pathType"), row.get("path") or "", f"{path}.path"
    if kind is None:
        return [fields.required(f"{path}.pathType", "pathType must be specified")]
    causes: list[Cause] = []
    if kind not in _PATH_TYPES:
        causes.append(fields.not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    else:
        is_specific = kind == "ImplementationSpecific"
        if not value.startswith("/") and (value or not is_specific):
            causes.append(fields.invalid(where, value, "must be an absolute path"))
        if not is_specific:
            causes += [
                fields.invalid(where, value, f"must not contain '{part}'")
                for part in _BAD_SEQUENCES
                if part in value
            ]
            causes += [
                fields.invalid(where, value, f"cannot end with '{end}'")
                for end in _BAD_ENDS
                if value.endswith(end)
            ]
    return causes + _backend(row.get("backend") or {}, f"{path}.backend")


def _backend(backend: Obj, path: str) -> list[Cause]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        detail = "cannot set both resource and service backends"
        return [fields.invalid(path, "", detail)]
    if resource is not None:
        return validate_reference(f"{path}.resource", resource)
    if service is None:
        return [fields.invalid(path, "", "resource or service backend is required")]
    causes: list[Cause] = []
    name, where = service.get("name"), f"{path}.service"
    if not name:
        causes.append(fields.required(f"{where}.name"))
    else:
        causes += fields.each(f"{where}.name", name, names.dns_label(name))
    port = service.get("port") or {}
    word, number = port.get("name"), port.get("number")
    if word and number:
        causes.append(fields.invalid(path, "", "cannot set both port name & port number"))
    elif word:
        causes += fields.each(f"{where}.port.name", word, names.port_name(word))
    elif number:
        causes += fields.port_number(f"{where}.port.number", number)
    else:
        causes.append(fields.required(path, "port name or number is required"))
    return causes


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in the addresses of load balancers."""
    known = [row["ip"] for row in _balancers(old) if row.get("ip")]
    causes: list[Cause] = []
    for index, row in enumerate(_balancers(new)):
        path = f"status.loadBalancer.ingress[{index}]"
        if row.get("ip"):
            causes += addresses.legacy_address(f"{path}.ip", row["ip"], known)
        host = row.get("hostname")
        if host:
            causes += fields.each(f"{path}.hostname", host, names.dns_subdomain(host))
            if addresses.parse(host) is not None:
                causes.append(fields.invalid(f"{path}.hostname", host, _NOT_AN_ADDRESS))
    return causes


def _balancers(obj: Obj) -> list[Obj]:
    return meta.get_path(obj, "status.loadBalancer.ingress") or []


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """The class has a field of its own."""
    is_noted = CLASS_ANNOTATION in meta.annotations(obj)
    if old is not None or not is_noted or meta.spec(obj).get("ingressClassName") is not None:
        return []
    return [
        f'annotation "{CLASS_ANNOTATION}" is deprecated, please use '
        "'spec.ingressClassName' instead"
    ]


def _class(obj: Obj, now: float) -> str:
    name = meta.spec(obj).get("ingressClassName")
    return "<none>" if name is None else str(name)


def _hosts(obj: Obj, now: float) -> str:
    rules = meta.spec(obj).get("rules") or []
    shown: list[str] = []
    for rule in rules:
        if len(shown) == _SHOWN_HOSTS:
            return f"{','.join(shown)} + {len(rules) - _SHOWN_HOSTS} more..."
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _address(obj: Obj, now: float) -> str:
    found = {str(row.get("ip") or row.get("hostname") or "") for row in _balancers(obj)}
    return ",".join(sorted(found - {""}))


def _ports(obj: Obj, now: float) -> str:
    return "80, 443" if meta.spec(obj).get("tls") else "80"


COLUMNS = (
    NAME,
    text("Class", _class, "Who serves it."),
    text("Hosts", _hosts, "Host names it is for."),
    text("Address", _address, "Where it is served."),
    text("Ports", _ports, "Ports it is served on."),
    AGE,
)


class IngressStrategy(SpecStrategy):
    """The rules of ingresses."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nobody serves a new one yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"loadBalancer": {}}


KIND = Kind(
    INGRESSES,
    strategy=IngressStrategy,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    warnings=warnings,
)
