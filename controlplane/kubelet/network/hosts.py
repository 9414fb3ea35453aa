"""A pod's names for itself: its host name and /etc/hosts. Pure.

Source of the form: pkg/kubelet/kubelet_pods.go (managed hosts file), pkg/kubelet/kubelet_network.go.
"""

from controlplane.api.meta import View

_LOCAL = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)
_LONGEST = 63


def host_name(pod: View) -> str:
    """The host name of a pod: its own or its name, cut to what the kernel takes."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    name = str(spec.get("hostname") or pod["metadata"]["name"])
    short = name[:_LONGEST].rstrip("-.")
    domain = full_domain(pod, "cluster.local")
    if spec.get("setHostnameAsFQDN") and domain:
        return f"{short}.{domain}"
    return short


def full_domain(pod: View, cluster_domain: str) -> str:
    """What comes after the host name in the pod's full name; "" for a pod without a subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain:
        return ""
    namespace = pod["metadata"].get("namespace", "")
    return f"{subdomain}.{namespace}.svc.{cluster_domain}"


def hosts_file(pod: View, address: str, cluster_domain: str) -> str:
    """The contents of /etc/hosts."""
    short = host_name(pod).partition(".")[0]
    domain = full_domain(pod, cluster_domain)
    own = f"{short}.{domain}\t{short}" if domain else short
    lines = ["# Kubernetes-managed hosts file.", *_LOCAL, f"{address}\t{own}"]
    return _with_aliases(pod, lines)


def host_network_hosts_file(pod: View, of_node: str) -> str:
    """The contents of /etc/hosts in a pod that shares the node's network: the node's, and the pod's aliases."""
    lines = ["# Kubernetes-managed hosts file (host network).", of_node.rstrip("\n")]
    return _with_aliases(pod, lines)


def _with_aliases(pod: View, lines: list[str]) -> str:
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        for alias in aliases:
            names = "\t".join(alias.get("hostnames") or ())
            lines.append(f"{alias.get('ip', '')}\t{names}")
    return "\n".join(lines) + "\n"
