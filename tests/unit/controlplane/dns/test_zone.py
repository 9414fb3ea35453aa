"""The cluster's names, by the DNS specification of Kubernetes (rows 116, 117, 120 to 122)."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.dns.zone import Zone


def service(name: str, namespace: str = "default", **spec: Any) -> Obj:
    ports = [
        {"name": "http", "port": 80, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": ports, **spec},
    }


def part(name: str, of: str, *endpoints: Obj, namespace: str = "default") -> Obj:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": of},
        },
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def endpoint(address: str, hostname: str = "", ready: bool = True) -> Obj:
    found: Obj = {"addresses": [address], "conditions": {"ready": ready}}
    return {**found, "hostname": hostname} if hostname else found


@pytest.fixture
def zone() -> Zone:
    made = Zone()
    made.put_service(service("db"))
    made.put_service(service("dual", clusterIPs=["10.96.0.8", "fd00::8"], clusterIP="10.96.0.8"))
    made.put_service(service("web", clusterIP="None", clusterIPs=["None"]))
    made.put_service(service("empty", clusterIP="None", clusterIPs=["None"]))
    made.put_service(
        service("all", clusterIP="None", clusterIPs=["None"], publishNotReadyAddresses=True)
    )
    made.put_service(
        {
            "metadata": {"name": "out", "namespace": "other"},
            "spec": {"type": "ExternalName", "externalName": "example.com"},
        }
    )
    made.put_slice(
        part(
            "web-1",
            "web",
            endpoint("10.244.1.5", "web-0"),
            endpoint("10.244.1.6"),
            endpoint("10.244.1.7", ready=False),
        )
    )
    made.put_slice(part("all-1", "all", endpoint("10.244.1.9", ready=False)))
    return made


S = "svc.cluster.local"
FOUND = [
    ("db.default." + S, "A", ["10.96.0.7"]),
    ("DB.Default.SVC.cluster.local.", "A", ["10.96.0.7"]),
    ("dual.default." + S, "AAAA", ["fd00::8"]),
    ("dual.default." + S, "ANY", ["10.96.0.8", "fd00::8"]),
    ("web.default." + S, "A", ["10.244.1.5", "10.244.1.6"]),
    ("web-0.web.default." + S, "A", ["10.244.1.5"]),
    ("10-244-1-6.web.default." + S, "A", ["10.244.1.6"]),
    ("all.default." + S, "A", ["10.244.1.9"]),
    ("out.other." + S, "A", ["example.com"]),
    ("10-244-9-9.default.pod.cluster.local", "A", ["10.244.9.9"]),
    ("dns-version.cluster.local", "TXT", ["1.1.0"]),
    ("_http._tcp.db.default." + S, "SRV", [(0, 100, 80, "db.default." + S)]),
    ("_dns._udp.db.default." + S, "SRV", [(0, 100, 53, "db.default." + S)]),
    (
        "_http._tcp.web.default." + S,
        "SRV",
        [(0, 50, 8080, "web-0.web.default." + S), (0, 50, 8080, "10-244-1-6.web.default." + S)],
    ),
    ("7.0.96.10.in-addr.arpa", "PTR", ["db.default." + S]),
    ("5.1.244.10.in-addr.arpa", "PTR", ["web-0.web.default." + S]),
    (
        "8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
        "PTR",
        ["dual.default." + S],
    ),
]


@pytest.mark.parametrize(("name", "kind", "data"), FOUND)
def test_names_that_have_records(zone: Zone, name: str, kind: str, data: list[Any]) -> None:
    assert [record.data for record in zone.answer(name, kind).records] == data


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("db.default." + S, "AAAA"),
        ("db.default." + S, "MX"),
        (S, "A"),
        ("cluster.local", "A"),
        ("default." + S, "A"),
        ("_tcp.db.default." + S, "SRV"),
        ("web.default." + S, "AAAA"),
    ],
)
def test_names_that_exist_without_such_a_record(zone: Zone, name: str, kind: str) -> None:
    answer = zone.answer(name, kind)
    assert (answer.is_ours, answer.exists, answer.records) == (True, True, ())


@pytest.mark.parametrize(
    "name",
    [
        "nope.default." + S,
        "db.nowhere." + S,
        "empty.default." + S,
        "nowhere." + S,
        "web-7.web.default." + S,
        "web-0.db.default." + S,
        "_ftp._tcp.db.default." + S,
        "not-an-address.default.pod.cluster.local",
        "a.b.c.d.e.default." + S,
        # Row 121: the name without `svc` is none.
        "db.default.cluster.local",
    ],
)
def test_names_that_do_not_exist(zone: Zone, name: str) -> None:
    answer = zone.answer(name, "A")
    assert (answer.is_ours, answer.exists, answer.records) == (True, False, ())


@pytest.mark.parametrize("name", ["example.com", "xcluster.local", "1.0.0.127.in-addr.arpa", ""])
def test_names_of_others(zone: Zone, name: str) -> None:
    assert not zone.answer(name, "A").is_ours


def test_an_srv_brings_the_addresses_along(zone: Zone) -> None:
    extra = zone.answer("_http._tcp.web.default." + S, "SRV").extra
    assert [(one.name.split(".")[0], one.data) for one in extra] == [
        ("web-0", "10.244.1.5"),
        ("10-244-1-6", "10.244.1.6"),
    ]


def test_a_change_is_seen_at_once_and_leaves_nothing_behind(zone: Zone) -> None:
    zone.put_slice(part("web-1", "web", endpoint("10.244.1.8")))
    assert [r.data for r in zone.answer("web.default." + S, "A").records] == ["10.244.1.8"]
    assert not zone.answer("5.1.244.10.in-addr.arpa", "PTR").is_ours
    zone.remove_slice(part("web-1", "web"))
    assert not zone.answer("web.default." + S, "A").exists
    zone.put_service(service("db", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"]))
    assert not zone.answer("7.0.96.10.in-addr.arpa", "PTR").is_ours
    for name, namespace in (("db", "default"), ("out", "other")):
        zone.remove_service(service(name, namespace))
    assert not zone.answer("other." + S, "A").exists


def test_a_slice_that_changes_its_service_is_taken_from_the_old_one(zone: Zone) -> None:
    zone.put_slice(part("web-1", "empty", endpoint("10.244.1.5")))
    assert not zone.answer("web.default." + S, "A").exists
    assert zone.answer("empty.default." + S, "A").records


def test_a_name_is_unknown_while_only_one_of_two_slices_is_gone(zone: Zone) -> None:
    zone.put_slice(part("web-2", "web", endpoint("10.244.1.5", "web-0")))
    zone.remove_slice(part("web-1", "web"))
    assert [r.data for r in zone.answer("web-0.web.default." + S, "A").records] == ["10.244.1.5"]
    assert zone.answer("5.1.244.10.in-addr.arpa", "PTR").records
