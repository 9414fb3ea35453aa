"""resolv.conf by policy."""

from typing import Any

import pytest

from controlplane.kubelet.network.resolv import Resolver, parse, resolv_conf

HOST = parse(
    "# made by dhcp\nnameserver 9.9.9.9\nsearch old\nsearch corp.example\noptions rotate\n"
)
CLUSTER = "search ns.svc.c.l svc.c.l c.l corp.example\nnameserver 10.96.0.10\noptions ndots:5\n"
OF_HOST = "search corp.example\nnameserver 9.9.9.9\noptions rotate\n"


def test_parse() -> None:
    assert Resolver(["9.9.9.9"], ["corp.example"], ["rotate"]) == HOST


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, OF_HOST),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, CLUSTER),
        ({"dnsPolicy": "Default"}, OF_HOST),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["1.1.1.1"],
                    "searches": ["my.dns"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                },
            },
            "search my.dns\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
        ),
        (
            {"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}},
            CLUSTER.replace("ndots:5", "ndots:1"),
        ),
    ],
    ids=["cluster", "host_network", "with_host_net", "default", "none", "option_replaced"],
)
def test_policies(spec: dict[str, Any], expected: str) -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}
    assert resolv_conf(pod, HOST, ["10.96.0.10"], "c.l") == expected


def test_without_name_servers_of_the_cluster_the_hosts_are_taken() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {}}
    assert resolv_conf(pod, HOST, [], "c.l") == OF_HOST
