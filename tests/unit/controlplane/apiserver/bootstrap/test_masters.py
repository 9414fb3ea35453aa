"""Which API servers live, and what the Endpoints of `default/kubernetes` say of them."""

import pytest

from controlplane.apiserver.bootstrap.masters import (
    DEAD_SECONDS,
    Observed,
    advertised,
    slices,
    subsets,
)
from controlplane.apiserver.config import ApiServerConfig


@pytest.mark.parametrize(
    ("advertise", "bind", "expected"),
    [
        pytest.param("10.97.0.1", "127.0.0.1", "10.97.0.1", id="as told"),
        pytest.param("", "192.168.1.5", "192.168.1.5", id="where it listens"),
        pytest.param("", "127.0.0.1", "", id="loopback may not stand in Endpoints"),
        pytest.param("", "0.0.0.0", "", id="any address is none"),
        pytest.param("127.0.0.9", "192.168.1.5", "", id="told a loopback address"),
        pytest.param("master.example", "192.168.1.5", "", id="a name is no address"),
    ],
)
def test_advertised_address(advertise: str, bind: str, expected: str) -> None:
    assert advertised(ApiServerConfig(advertise_address=advertise, bind_address=bind)) == expected


def test_a_record_dies_when_it_has_not_changed_for_long_enough_by_the_observers_clock() -> None:
    observed = Observed()
    assert observed.dead({"a": "1", "b": "1"}, 100.0) == []
    assert observed.dead({"a": "2", "b": "1"}, 100.0 + DEAD_SECONDS - 0.1) == []
    assert observed.dead({"a": "2", "b": "1"}, 100.0 + DEAD_SECONDS) == ["b"]
    assert observed.dead({"a": "2"}, 100.0 + DEAD_SECONDS) == [], "taken away is forgotten"
    assert observed.dead({"a": "2", "b": "9"}, 200.0) == ["a"], "one that comes back is new"


def test_addresses_of_one_port_share_a_subset_and_a_slice_in_numeric_order() -> None:
    places = [("10.97.0.10", 6443), ("10.97.0.2", 6443)]
    port = {"name": "https", "port": 6443, "protocol": "TCP"}
    assert subsets(places) == [
        {"addresses": [{"ip": "10.97.0.2"}, {"ip": "10.97.0.10"}], "ports": [port]}
    ]
    made = slices(places)
    assert list(made) == ["kubernetes"]
    assert made["kubernetes"]["addressType"] == "IPv4"
    assert [row["addresses"] for row in made["kubernetes"]["endpoints"]] == [
        ["10.97.0.2"],
        ["10.97.0.10"],
    ]
    assert made["kubernetes"]["ports"] == [port]


def test_servers_at_different_ports_have_a_subset_and_a_slice_each() -> None:
    places = [("10.97.0.1", 6443), ("10.97.0.2", 6444)]
    assert [row["ports"][0]["port"] for row in subsets(places)] == [6443, 6444]
    assert list(slices(places)) == ["kubernetes", "kubernetes-6444"]


def test_without_servers_nothing_is_left() -> None:
    assert subsets([]) == []
    assert slices([]) == {}
