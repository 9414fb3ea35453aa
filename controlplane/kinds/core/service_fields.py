"""What the fields of a Service mean together, and how a change of its type carries some of them along or away.

Pure: what is to be taken of shared ranges is only found out here; the API server's allocator takes it.
Source: pkg/registry/core/service (strategy.go, storage/alloc.go, storage/storage.go), pkg/api/service/util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.addresses import parse
from controlplane.kinds.core.service_rules import validate_addresses

_NO_ADDRESS = "None"


def needs_cluster_ip(spec: View) -> bool:
    """Whether the Service has an address in the cluster, or says that it has none."""
    return spec.get("type") != "ExternalName"


def needs_node_port(spec: View) -> bool:
    """Whether the Service is reached by ports of all nodes."""
    if spec.get("type") == "NodePort":
        return True
    return (
        spec.get("type") == "LoadBalancer"
        and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def is_external(spec: View) -> bool:
    """Whether the Service can be reached from outside the cluster."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (
        kind == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def needs_health_check(spec: View) -> bool:
    """Whether a load balancer has to find out which nodes have endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_headless(spec: View) -> bool:
    """Whether the Service's name stands for its endpoints themselves."""
    return spec.get("clusterIPs") == [_NO_ADDRESS]


def node_ports(spec: View) -> list[int]:
    """The node ports that are set."""
    return [row["nodePort"] for row in spec.get("ports") or () if row.get("nodePort")]


def drop_type_dependent(spec: Obj, old: View) -> None:
    """Clear what does not go with the new type, was given by the server and is not changed by the client."""
    if needs_cluster_ip(old) and not needs_cluster_ip(spec):
        if _same(spec, old, "clusterIP", "clusterIPs"):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for key in ("ipFamilies", "ipFamilyPolicy"):
            _drop_same(spec, old, key)
    same_ports = len(spec.get("ports") or ()) == len(old.get("ports") or ()) and all(
        new.get("nodePort") == before.get("nodePort")
        for new, before in zip(spec.get("ports") or (), old.get("ports") or (), strict=False)
    )
    if needs_node_port(old) and not needs_node_port(spec) and same_ports:
        for row in spec.get("ports") or ():
            row.pop("nodePort", None)
    if needs_health_check(old) and not needs_health_check(spec):
        _drop_same(spec, old, "healthCheckNodePort")
    if old.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        _drop_same(spec, old, "allocateLoadBalancerNodePorts")
        _drop_same(spec, old, "loadBalancerClass")
    if is_external(old) and not is_external(spec):
        _drop_same(spec, old, "externalTrafficPolicy")


def _same(spec: View, old: View, *keys: str) -> bool:
    return all(spec.get(key) == old.get(key) for key in keys)


def _drop_same(spec: Obj, old: View, key: str) -> None:
    if spec.get(key) == old.get(key):
        spec.pop(key, None)


def keep_allocated(spec: Obj, old: View) -> None:
    """Put back what the server had given and the client has left out, so that a PUT of a manifest changes nothing."""
    if needs_cluster_ip(old) and needs_cluster_ip(spec):
        if not spec.get("clusterIP") and old.get("clusterIP"):
            spec["clusterIP"] = old["clusterIP"]
        same = spec.get("clusterIP") == old.get("clusterIP")
        if not spec.get("clusterIPs") and same and old.get("clusterIPs"):
            spec["clusterIPs"] = old["clusterIPs"]
    if needs_node_port(old) and needs_node_port(spec):
        used = set(node_ports(old)) & set(node_ports(spec))
        known = {row.get("name") or "": row.get("nodePort") for row in old.get("ports") or ()}
        for row in spec.get("ports") or ():
            port = known.get(row.get("name") or "")
            if not row.get("nodePort") and port and port not in used:
                row["nodePort"] = port
                used.add(port)
    number = old.get("healthCheckNodePort")
    if needs_health_check(old) and needs_health_check(spec) and number:
        spec["healthCheckNodePort"] = spec.get("healthCheckNodePort") or number


def agree_on_addresses(spec: Obj, old: View | None) -> None:
    """Make clusterIP and clusterIPs agree, as the one that the client has set says."""
    address, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if old is None:
        if address and not addresses:
            spec["clusterIPs"] = [address]
        return
    old_address, old_addresses = old.get("clusterIP") or "", old.get("clusterIPs") or []
    if old_addresses and not addresses and address == old_address:
        spec["clusterIPs"] = addresses = list(old_addresses)
    if address != old_address and addresses == old_addresses:
        if address:
            spec["clusterIPs"] = [address]
        elif old_address:
            spec.pop("clusterIPs", None)


def init_families(obj: Obj, live: Obj | None, families: Sequence[str]) -> list[Cause]:
    """Fill in ipFamilies and ipFamilyPolicy.

    Causes when the cluster, which has `families`, cannot serve what is asked.
    """
    spec = meta.spec(obj)
    old = meta.spec(live) if live is not None else None
    if not needs_cluster_ip(spec) or keeps_preferred_families(spec, old):
        return []
    has_no_selector = spec.get("clusterIP") == _NO_ADDRESS and not spec.get("selector")
    if spec.get("ipFamilyPolicy") is None:
        before = (old or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = before or (
            "RequireDualStack" if has_no_selector else "SingleStack"
        )
    causes = validate_addresses(spec, old)
    if causes:
        return causes
    causes = _policy_fits(spec, old)
    causes += _families_of_addresses(spec, families)
    if causes:
        return causes
    policy, wanted = spec["ipFamilyPolicy"], list(spec.get("ipFamilies") or ())
    if has_no_selector:
        # Its endpoints are made by hand and may be of both families even where the cluster has one.
        wanted = wanted or [families[0]]
        if len(wanted) < 2 and policy != "SingleStack":
            wanted.append(_other(wanted[0]))
        spec["ipFamilies"] = wanted
        return []
    if policy == "RequireDualStack" and len(families) < 2:
        detail = "this cluster is not configured for dual-stack services"
        causes.append(fields.invalid("spec.ipFamilyPolicy", policy, detail))
    causes += [
        fields.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
        for index, family in enumerate(wanted)
        if family not in families
    ]
    if causes:
        return causes
    wanted = wanted or [families[0]]
    if policy != "SingleStack" and len(wanted) == 1 and len(families) == 2:
        wanted.append(_other(wanted[0]))
    spec["ipFamilies"] = wanted
    return []


def keeps_preferred_families(spec: View, old: View | None) -> bool:
    """Whether a Service that prefers two families stays as it is: a cluster that gains one must not change it."""
    if old is None or not spec.get("clusterIP") or not spec.get("clusterIPs"):
        return False
    keys = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    return spec.get("ipFamilyPolicy") == "PreferDualStack" and _same(spec, old, *keys)


def _policy_fits(spec: Obj, old: View | None) -> list[Cause]:
    policy, where = spec["ipFamilyPolicy"], "spec.ipFamilyPolicy"
    causes = []
    pairs = (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family"))
    for key, word in pairs:
        before = len((old or {}).get(key) or ())
        if old is None or before < 2:
            continue
        if policy == "SingleStack":
            if spec.get(key) == old.get(key):
                spec[key] = spec[key][:1]
        elif len(spec.get(key) or ()) == 1:
            detail = f"must be 'SingleStack' to release the secondary {word}"
            causes.append(fields.invalid(where, policy, detail))
    if policy == "SingleStack":
        for key, word in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
            if len(spec.get(key) or ()) == 2:
                detail = (
                    f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {word} are "
                    "specified"
                )
                causes.append(fields.invalid(where, policy, detail))
    return causes


def _families_of_addresses(spec: Obj, families: Sequence[str]) -> list[Cause]:
    addresses, wanted = spec.get("clusterIPs") or [], list(spec.get("ipFamilies") or ())
    causes = []
    for index, text in enumerate(addresses):
        if text == _NO_ADDRESS:
            break
        family = family_of(text)
        if index < len(wanted):
            continue
        if family in families:
            wanted.append(family)
        else:
            detail = f"{family} is not configured on this cluster"
            causes.append(fields.invalid(f"spec.clusterIPs[{index}]", addresses, detail))
    if wanted:
        spec["ipFamilies"] = wanted
    return causes


def family_of(text: str) -> str:
    """IPv4 or IPv6."""
    address = parse(text)
    return "IPv6" if address is not None and address.version == 6 else "IPv4"


def _other(family: str) -> str:
    return "IPv6" if family == "IPv4" else "IPv4"
