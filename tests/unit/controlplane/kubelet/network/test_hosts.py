"""Names of a pod for itself."""

from typing import Any

import pytest

from controlplane.kubelet.network.hosts import host_name, host_network_hosts_file, hosts_file


def pod(name: str = "web-0", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (pod(), "web-0"),
        (pod(hostname="db"), "db"),
        (pod("x" * 62 + "-y"), "x" * 62),
        (pod(subdomain="all"), "web-0"),
        (pod(subdomain="all", setHostnameAsFQDN=True), "web-0.all.ns.svc.cluster.local"),
        (pod(hostnameOverride="other"), "other"),
    ],
    ids=["name", "own", "cut", "subdomain", "fqdn", "override"],
)
def test_host_name(subject: dict[str, Any], expected: str) -> None:
    assert host_name(subject) == expected


def test_hosts_file() -> None:
    text = hosts_file(pod(), "10.244.1.5", "cluster.local")
    assert text.startswith(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost "
    )
    assert text.endswith("\n10.244.1.5\tweb-0\n")
    aliases = [{"ip": "1.2.3.4", "hostnames": ["a", "b.c"]}]
    text = hosts_file(pod(subdomain="all", hostAliases=aliases), "10.244.1.5", "c.d")
    assert "10.244.1.5\tweb-0.all.ns.svc.c.d\tweb-0\n" in text
    assert text.endswith("\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb.c\n")


def test_a_pod_on_the_nodes_network_has_the_nodes_names() -> None:
    aliases = [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}]
    assert host_network_hosts_file(pod(hostAliases=aliases), "127.0.0.1\tlocalhost\n") == (
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n\n"
        "# Entries added by HostAliases.\n10.0.0.1\ta\tb\n"
    )
