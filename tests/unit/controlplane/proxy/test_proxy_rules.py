"""Which endpoints traffic may go to, and the table made of them (rows 62, 112 to 117)."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.proxy import diff, endpoints, rules
from controlplane.proxy.endpoints import Endpoint, NodeView
from controlplane.proxy.rules import Settings, Table

NODE = NodeView("node-1", "zone-a")
SETTINGS = Settings(NODE)


def service(name: str = "web", **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": ports, **spec},
    }


def part(*rows: Obj, name: str = "web", port_name: str = "http") -> Obj:
    return {
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "ports": [{"name": port_name, "port": 8080, "protocol": "TCP"}],
        "endpoints": list(rows),
    }


def row(address: str, node: str = "node-1", hints: Any = None, **conditions: bool) -> Obj:
    found: Obj = {
        "addresses": [address],
        "nodeName": node,
        "conditions": {"ready": True, **conditions},
    }
    return {**found, "hints": hints} if hints else found


ENDING = {"ready": False, "serving": True, "terminating": True}
BROKEN = {"ready": False, "serving": False, "terminating": False}


@pytest.mark.parametrize(
    ("rows", "cluster", "local"),
    [
        pytest.param(
            [row("10.0.0.1"), row("10.0.0.2", "node-2")],
            ["10.0.0.1", "10.0.0.2"],
            ["10.0.0.1"],
            id="local_ones",
        ),
        pytest.param(
            [row("10.0.0.1"), row("10.0.0.2", **ENDING)],
            ["10.0.0.1"],
            ["10.0.0.1"],
            id="ending_ones_only_without_ready_ones",
        ),
        pytest.param(
            [row("10.0.0.2", **ENDING)], ["10.0.0.2"], ["10.0.0.2"], id="ending_ones_that_serve"
        ),
        pytest.param([row("10.0.0.2", **BROKEN)], [], [], id="not_ready"),
        pytest.param(
            [
                row("10.0.0.1", hints={"forZones": [{"name": "zone-a"}]}),
                row("10.0.0.2", hints={"forZones": [{"name": "zone-b"}]}),
            ],
            ["10.0.0.1"],
            ["10.0.0.1", "10.0.0.2"],
            id="zone_hints",
        ),
        pytest.param(
            [row("10.0.0.1", hints={"forZones": [{"name": "zone-b"}]}), row("10.0.0.2")],
            ["10.0.0.1", "10.0.0.2"],
            ["10.0.0.1", "10.0.0.2"],
            id="a_missing_hint_switches_hints_off",
        ),
        pytest.param(
            [row("10.0.0.1", hints={"forZones": [{"name": "zone-b"}]})],
            ["10.0.0.1"],
            ["10.0.0.1"],
            id="no_endpoint_in_the_zone",
        ),
        pytest.param(
            [
                row("10.0.0.1", hints={"forNodes": [{"name": "node-1"}]}),
                row("10.0.0.2", hints={"forNodes": [{"name": "node-2"}]}),
            ],
            ["10.0.0.1"],
            ["10.0.0.1", "10.0.0.2"],
            id="node_hints",
        ),
    ],
)
def test_choice_of_endpoints(rows: list[Obj], cluster: list[str], local: list[str]) -> None:
    found = endpoints.of_port([part(*rows)], "http", "TCP", NODE)
    assert [one.address for one in endpoints.for_cluster(found, NODE)] == cluster
    assert [one.address for one in endpoints.for_local(found)] == local


def test_an_endpoint_in_two_slices_counts_once() -> None:
    slices = [part(row("10.0.0.1", **BROKEN)), part(row("10.0.0.1"))]
    found = endpoints.of_port(slices, "http", "TCP", NODE)
    assert found == [Endpoint("10.0.0.1", 8080, is_local=True)]


def test_another_port_or_protocol_has_other_endpoints() -> None:
    assert endpoints.of_port([part(row("10.0.0.1"))], "https", "TCP", NODE) == []
    assert endpoints.of_port([part(row("10.0.0.1"))], "http", "UDP", NODE) == []


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (service(), True),
        (service(clusterIP="None"), False),
        (service(type="ExternalName"), False),
        (
            {
                **service(),
                "metadata": {"name": "x", "labels": {endpoints.PROXY_NAME_LABEL: "other"}},
            },
            False,
        ),
    ],
)
def test_services_that_are_proxied(one: Obj, wanted: bool) -> None:
    assert endpoints.is_proxied(one) is wanted


def build(one: Obj, *rows: Obj) -> Table:
    return rules.build([one], {("default", "web"): [part(*rows)]}, SETTINGS)


def chain(table: Table, start: str) -> tuple[str, ...]:
    return next(found for name, found in table.chains.items() if name.startswith(start))


def test_a_cluster_ip_leads_to_each_endpoint() -> None:
    table = build(service(), row("10.0.0.1"), row("10.0.0.2"))
    (verdict,) = table.elements.values()
    assert list(table.elements) == [("service-ips", "10.96.0.7 . tcp . 80")]
    spread = table.chains[verdict.removeprefix("goto ")]
    assert spread[0].startswith("ip daddr 10.96.0.7 ip saddr != 10.244.0.0/16 jump mark")
    assert spread[1].startswith("numgen random mod 2 vmap { 0 : goto ep-")
    assert chain(table, "ep-")[-1] == "meta l4proto tcp dnat to 10.0.0.1:8080"


@pytest.mark.parametrize(
    ("spec", "rows", "target", "verdict"),
    [
        pytest.param({}, [], "no-endpoint-ips", "goto reject-it", id="no_endpoints"),
        pytest.param(
            {"internalTrafficPolicy": "Local"},
            [row("10.0.0.1", "node-2")],
            "no-endpoint-ips",
            "goto drop-it",
            id="none_here",
        ),
    ],
)
def test_a_service_without_endpoints_says_so(
    spec: Any, rows: list[Obj], target: str, verdict: str
) -> None:
    table = build(service(**spec), *rows)
    assert table.elements == {(target, "10.96.0.7 . tcp . 80"): verdict}


def test_a_node_port_hides_the_source_only_where_traffic_may_leave_the_node() -> None:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    anywhere = build(service(type="NodePort", ports=ports), row("10.0.0.1", "node-2"))
    assert chain(anywhere, "ext-")[0] == "jump mark-for-masquerade"
    assert ("node-ports", "tcp . 30080") in anywhere.elements
    local = build(
        service(type="NodePort", ports=ports, externalTrafficPolicy="Local"), row("10.0.0.1")
    )
    assert chain(local, "ext-")[0].startswith("goto ep-")
    empty = build(
        service(type="NodePort", ports=ports, externalTrafficPolicy="Local"),
        row("10.0.0.1", "node-2"),
    )
    assert empty.elements["no-endpoint-ports", "tcp . 30080"] == "goto drop-it"


def test_a_load_balancer_lets_in_whom_it_says() -> None:
    one = service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", "2001:db8::/32"])
    one["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"hostname": "x"}]}}
    table = build(one, row("10.0.0.1"))
    verdict = table.elements["service-ips", "198.51.100.1 . tcp . 80"]
    assert table.chains[verdict.removeprefix("goto ")][0] == "ip saddr != { 192.0.2.0/24 } drop"


def test_a_client_stays_with_its_endpoint() -> None:
    config = {"clientIP": {"timeoutSeconds": 60}}
    one = service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    table = build(one, row("10.0.0.1"), row("10.0.0.2"))
    assert len(table.sets) == 2
    assert all("timeout 60s" in declaration for declaration in table.sets.values())
    spread = chain(table, "svc-")
    assert [line for line in spread if line.startswith("ip saddr @af-")] == list(spread[1:3])


def test_sctp_and_ipv6_are_left_out() -> None:
    ports = [{"name": "http", "port": 80, "protocol": "SCTP"}]
    assert build(service(ports=ports), row("10.0.0.1")).elements == {}
    both = build(service(clusterIPs=["10.96.0.7", "fd00::7"]), row("10.0.0.1"))
    assert len(both.elements) == 1


def test_nothing_changed_is_no_command() -> None:
    table = build(service(), row("10.0.0.1"))
    assert diff.commands(table, table) == []


def test_a_new_endpoint_touches_its_service_only() -> None:
    others = [
        service(f"s{n}", clusterIP=f"10.96.1.{n}", clusterIPs=[f"10.96.1.{n}"]) for n in range(50)
    ]
    slices = {("default", f"s{n}"): [part(row(f"10.0.1.{n}"), name=f"s{n}")] for n in range(50)}
    web = ("default", "web")
    before = rules.build([service(), *others], {**slices, web: [part(row("10.0.0.1"))]}, SETTINGS)
    rows = [row("10.0.0.1"), row("10.0.0.2")]
    after = rules.build([service(), *others], {**slices, web: [part(*rows)]}, SETTINGS)
    found = diff.commands(before, after)
    # A chain for the endpoint with its two rules, and the Service's chain anew.
    assert [line.split()[0] for line in found] == ["add", "add", "add", "flush"]


def test_what_goes_is_unhooked_first() -> None:
    table = build(service(), row("10.0.0.1"))
    words = [line.split()[:2] for line in diff.commands(table, Table())]
    kinds = [" ".join(pair) for pair in words]
    assert kinds == ["delete element", "flush chain", "flush chain", "delete chain", "delete chain"]


def test_a_key_moves_between_its_maps_in_one_piece() -> None:
    full, empty = build(service(), row("10.0.0.1")), build(service())
    (moved,) = [line for line in diff.commands(full, empty) if "element" in line]
    assert moved.splitlines() == [
        "delete element ip quorate-proxy service-ips { 10.96.0.7 . tcp . 80 }",
        "add element ip quorate-proxy no-endpoint-ips { 10.96.0.7 . tcp . 80 : goto reject-it }",
    ]
