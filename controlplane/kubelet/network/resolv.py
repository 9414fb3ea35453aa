"""A pod's /etc/resolv.conf, by its dnsPolicy and dnsConfig. Pure.

Source of the rules: pkg/kubelet/network/dns/dns.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api.meta import View

_CLUSTER_OPTIONS = ("ndots:5",)


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says."""

    servers: Sequence[str] = ()
    search: Sequence[str] = ()
    options: Sequence[str] = ()


def parse(text: str) -> Resolver:
    """The parts of a resolv.conf; the last `search` counts, as for the resolver."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] == "search":
            search = words[1:]
        elif words[0] == "options":
            options = words[1:]
    return Resolver(servers, search, options)


def resolv_conf(
    pod: View, host: Resolver, cluster_servers: Sequence[str], cluster_domain: str
) -> str:
    """The contents of the file. Where the cluster has no name servers, ClusterFirst is Default."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy == "None":
        chosen = Resolver()
    elif policy == "Default" or not cluster_servers:
        chosen = host
    else:
        namespace = pod["metadata"].get("namespace", "")
        own = [f"{namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        chosen = Resolver(cluster_servers, [*own, *host.search], _CLUSTER_OPTIONS)
    return _text(_with_config(chosen, spec.get("dnsConfig") or {}))


def _with_config(base: Resolver, config: View) -> Resolver:
    servers = _unique([*base.servers, *(config.get("nameservers") or ())])
    search = _unique([*base.search, *(config.get("searches") or ())])
    options = {option.partition(":")[0]: option for option in base.options}
    for entry in config.get("options") or ():
        value = entry.get("value")
        options[entry["name"]] = f"{entry['name']}:{value}" if value else entry["name"]
    return Resolver(servers, search, list(options.values()))


def _unique(items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _text(resolver: Resolver) -> str:
    lines = []
    if resolver.search:
        lines.append(f"search {' '.join(resolver.search)}")
    lines += [f"nameserver {server}" for server in resolver.servers]
    if resolver.options:
        lines.append(f"options {' '.join(resolver.options)}")
    return "\n".join(lines) + "\n"
