"""NetworkPolicies to rules, as text. What the rules do in a kernel is test_network_policies.py's."""

from typing import Any

import pytest

from controlplane.proxy import diff
from controlplane.proxy.policies import Member, World, build, member_of, preamble

SPACES: dict[str, dict[str, str]] = {"x": {"ns": "x"}, "y": {"ns": "y"}}
WEB = Member("x", {"app": "web"}, ("10.244.1.2",), {("http", "TCP"): 8080}, "n1")
CLIENT = Member("x", {"app": "client"}, ("10.244.1.3",), {}, "n1")
AWAY = Member("y", {"app": "client"}, ("10.244.2.2",), {("http", "TCP"): 9090}, "n2")


def policy(selector: Any = None, **spec: Any) -> dict[str, Any]:
    types = spec.pop("types", ["Ingress"])
    return {
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"podSelector": selector or {}, "policyTypes": types, **spec},
    }


def rules(
    *policies: dict[str, Any], of: Member = WEB, direction: str = "ingress"
) -> list[str] | None:
    """The rules for a pod, sets replaced by what is in them; None for a pod that may do anything."""
    table = build(World("n1", policies, (WEB, CLIENT, AWAY), SPACES))
    verdict = table.elements.get((f"{direction}-pods", of.addresses[0]))
    if verdict is None:
        return None
    found = []
    for rule in table.chains[verdict.removeprefix("jump ")]:
        for name in table.sets:
            inside = sorted(key for at, key in table.elements if at == name)
            rule = rule.replace(f"@{name}", "{" + ", ".join(inside) + "}")
        found.append(rule)
    return found


def peers(*rows: dict[str, Any], ports: Any = None) -> dict[str, Any]:
    return {"ingress": [{"from": list(rows), **({"ports": ports} if ports else {})}]}


APP = {"matchLabels": {"app": "client"}}
Y = {"matchLabels": {"ns": "y"}}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        pytest.param([], None, id="no policy"),
        pytest.param([policy({"matchLabels": {"app": "other"}})], None, id="about others"),
        pytest.param([policy()], ["drop"], id="deny all"),
        pytest.param([policy(ingress=[])], ["drop"], id="no rules"),
        pytest.param([policy(ingress=[{}])], ["return", "drop"], id="allow all"),
        pytest.param([policy(types=["Egress"])], None, id="about egress alone"),
        pytest.param(
            [policy(**peers({"podSelector": APP}))],
            ["ip saddr @ {10.244.1.3} return", "drop"],
            id="pods of the own namespace",
        ),
        pytest.param(
            [policy(**peers({"namespaceSelector": {}}))],
            ["ip saddr @ {10.244.1.2, 10.244.1.3, 10.244.2.2} return", "drop"],
            id="all namespaces",
        ),
        pytest.param(
            [policy(**peers({"namespaceSelector": Y}))],
            ["ip saddr @ {10.244.2.2} return", "drop"],
            id="a namespace",
        ),
        pytest.param(
            [policy(**peers({"namespaceSelector": {}, "podSelector": APP}))],
            ["ip saddr @ {10.244.1.3, 10.244.2.2} return", "drop"],
            id="pods of all namespaces",
        ),
        pytest.param(
            [policy(**peers({"podSelector": {"matchLabels": {"app": "none"}}}))],
            ["ip saddr @ {} return", "drop"],
            id="nobody yet",
        ),
        pytest.param(
            [policy(**peers({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.2.0/24"]}}))],
            ["ip saddr 10.0.0.0/8 ip saddr != 10.244.2.0/24 return", "drop"],
            id="a block with a hole",
        ),
        pytest.param(
            [policy(**peers({"ipBlock": {"cidr": "0.0.0.0/0"}}))],
            ["return", "drop"],
            id="any block",
        ),
        pytest.param(
            [policy(**peers({"ipBlock": {"cidr": "fd00::/8"}}))], ["drop"], id="a block of IPv6"
        ),
        pytest.param(
            [
                policy(
                    ingress=[
                        {
                            "ports": [
                                {"port": 80, "protocol": "TCP"},
                                {"protocol": "UDP", "port": 53},
                            ]
                        }
                    ]
                )
            ],
            ["meta l4proto tcp th dport 80 return", "meta l4proto udp th dport 53 return", "drop"],
            id="ports",
        ),
        pytest.param(
            [policy(ingress=[{"ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}]}])],
            ["meta l4proto tcp th dport 80-90 return", "drop"],
            id="a range of ports",
        ),
        pytest.param(
            [policy(ingress=[{"ports": [{"protocol": "SCTP"}]}])],
            ["meta l4proto sctp return", "drop"],
            id="a protocol",
        ),
        pytest.param(
            [policy(ingress=[{"ports": [{"port": "http", "protocol": "TCP"}]}])],
            ["meta l4proto tcp th dport 8080 return", "drop"],
            id="a port by the pod's name for it",
        ),
        pytest.param(
            [policy(ingress=[{"ports": [{"port": "dns", "protocol": "TCP"}]}])],
            ["drop"],
            id="a name that the pod has not",
        ),
        pytest.param(
            [policy(**peers({"podSelector": APP}, ports=[{"port": 80, "protocol": "TCP"}]))],
            ["ip saddr @ {10.244.1.3} meta l4proto tcp th dport 80 return", "drop"],
            id="peers and ports",
        ),
        pytest.param(
            [policy(), policy(ingress=[{"ports": [{"port": 80, "protocol": "TCP"}]}])],
            ["meta l4proto tcp th dport 80 return", "drop"],
            id="policies add up",
        ),
    ],
)
def test_ingress(policies: list[dict[str, Any]], expected: list[str] | None) -> None:
    found = rules(*policies)
    want = None if expected is None else [one.replace("@ {", "{") for one in expected]
    assert found == want


@pytest.mark.parametrize(
    ("egress", "expected"),
    [
        pytest.param([], ["drop"], id="deny all"),
        pytest.param(
            [{"to": [{"namespaceSelector": Y}]}],
            ["ip daddr {10.244.2.2} return", "drop"],
            id="a namespace",
        ),
        pytest.param(
            [{"ports": [{"port": "http", "protocol": "TCP"}]}],
            [
                "ip daddr . meta l4proto . th dport {10.244.1.2 . tcp . 8080, 10.244.2.2 . tcp . 9090}"
                " return",
                "drop",
            ],
            id="a port by each pod's name for it",
        ),
        pytest.param(
            [
                {
                    "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
                    "ports": [{"port": 5, "protocol": "TCP"}],
                }
            ],
            ["ip daddr 192.0.2.0/24 meta l4proto tcp th dport 5 return", "drop"],
            id="a block",
        ),
    ],
)
def test_egress(egress: list[Any], expected: list[str]) -> None:
    assert rules(policy(types=["Egress"], egress=egress), direction="egress") == expected


def test_only_pods_of_the_node_have_rules_and_each_reaches_itself() -> None:
    table = build(World("n1", [policy()], (WEB, CLIENT, AWAY), SPACES))
    assert {key for name, key in table.elements if name == "ingress-pods"} == {
        "10.244.1.2",
        "10.244.1.3",
    }
    assert ("own", "10.244.1.2 . 10.244.1.2") in table.elements
    assert len(table.chains) == 1, "what is the same for both is there once"


def test_a_peer_that_comes_changes_an_element_and_no_rule() -> None:
    one = policy(**peers({"podSelector": APP}))
    before = build(World("n1", [one], (WEB,), SPACES))
    after = build(World("n1", [one], (WEB, CLIENT), SPACES))
    assert before.chains.items() <= after.chains.items()
    words = diff.commands(before, after)
    assert [line.split()[:2] for line in words if " ps-" in line] == [["add", "element"]]
    assert diff.commands(after, after) == []


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        pytest.param({"nodeName": "n1"}, {"podIP": "10.244.1.9"}, ("10.244.1.9",), id="running"),
        pytest.param(
            {"hostNetwork": True}, {"podIP": "10.244.1.1"}, None, id="on its node's network"
        ),
        pytest.param({}, {}, None, id="no address yet"),
        pytest.param({}, {"podIP": "10.244.1.9", "phase": "Succeeded"}, None, id="ended"),
    ],
)
def test_members(spec: Any, status: Any, expected: tuple[str, ...] | None) -> None:
    pod = {"metadata": {"name": "p", "namespace": "x"}, "spec": spec, "status": status}
    found = member_of(pod)
    assert (found.addresses if found else None) == expected


def test_named_ports_of_all_containers_that_run_together() -> None:
    sidecar = {"restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9}]}
    before = {"ports": [{"name": "early", "containerPort": 7}]}
    web = {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]}
    pod = {
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"containers": [web], "initContainers": [before, sidecar]},
        "status": {"podIP": "10.244.1.9"},
    }
    found = member_of(pod)
    assert found is not None
    assert found.ports == {("http", "TCP"): 80, ("metrics", "TCP"): 9}


def test_the_fixed_parts_come_after_what_was_there_is_gone() -> None:
    assert preamble()[:3] == [
        "add table ip quorate-policy",
        "delete table ip quorate-policy",
        "add table ip quorate-policy",
    ]
