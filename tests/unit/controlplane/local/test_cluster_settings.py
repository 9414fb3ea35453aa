"""cluster.toml: defaults, relations, counts, resolved ports."""

from pathlib import Path

import pytest

from controlplane.local.networks import balancer_pool, node_ip
from controlplane.local.settings import (
    ClusterSettings,
    MasterSettings,
    NodeSettings,
    read_settings,
)
from controlplane.local.topology import Layout, PortInUse, check_ports, resolve_ports
from kvstore.base.settings import SettingsError, parse

ZERO = '[cluster]\nkubernetes_port = 0\n[[masters]]\nname = "a"\n[[nodes]]\nname = "n"\n'


def test_the_default_is_three_masters_and_two_nodes() -> None:
    settings = read_settings(None)
    assert [m.name for m in settings.masters] == ["master-1", "master-2", "master-3"]
    assert [n.name for n in settings.nodes] == ["node-1", "node-2"]


def test_counts_override_and_extra_parts_take_free_ports() -> None:
    settings = read_settings(None, masters=5, nodes=1)
    assert [m.store_client_port for m in settings.masters] == [2379, 2479, 2579, 0, 0]
    assert len(settings.nodes) == 1


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[[masters]]\nname = "a"\n[[masters]]\nname = "a"\n', "(file)"),
        ('[[masters]]\nname = "a"\n[[nodes]]\nname = "n"\npod_cidr = "10.0.0.0/24"\n', "nodes[0]"),
        ('[[masters]]\nname = "a"\n[store]\nelection_timeout_ms = 60\n', "store"),
        ('[[masters]]\nname = "a"\n[leader_election]\nlease_duration = "1s"\n', "leader_election"),
        ("masters = []\n", "(file)"),
        ('[[masters]]\nname = "a"\nstore_client_port = 9\nstore_peer_port = 9\n', "(file)"),
        ("[cluster]\n", "masters"),
    ],
    ids=["same name", "not loopback", "timeout", "lease", "no masters", "same port", "missing"],
)
def test_bad_relations_are_refused(text: str, path: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text, ClusterSettings, source="t")
    assert path in [problem.path for problem in caught.value.problems]


def test_free_ports_and_networks_stay_the_same_at_each_start(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    settings = parse(ZERO, ClusterSettings, source="t")
    first, again = resolve_ports(settings, layout), resolve_ports(settings, layout)
    assert first == again
    assert first.masters[0].store_client_port != 0
    assert node_ip(first.nodes[0]).startswith("127.")
    other = tmp_path / "other"
    other.mkdir()
    assert resolve_ports(settings, Layout(other)).nodes != first.nodes


def test_a_port_in_use_names_the_port_and_its_holder(tmp_path: Path) -> None:
    import os
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        text = ZERO.replace('name = "a"', f'name = "a"\nstore_client_port = {number}')
        settings = resolve_ports(parse(text, ClusterSettings, source="t"), Layout(tmp_path))
        with pytest.raises(
            PortInUse, match=f"port {number} .*store_client_port.* in use"
        ) as caught:
            check_ports(settings, ("store",))
        if os.path.exists("/proc/net/tcp"):
            assert f"pid {os.getpid()}" in str(caught.value)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        pytest.param(["127.64.1.0/24", "127.64.2.0/24"], "127.64.255.0/24", id="the last one"),
        pytest.param(["127.64.255.0/24"], "127.64.254.0/24", id="that no node has"),
    ],
)
def test_balancers_have_addresses_beside_the_nodes(networks: list[str], expected: str) -> None:
    nodes = tuple(NodeSettings(f"n{at}", pod_cidr=cidr) for at, cidr in enumerate(networks))
    settings = ClusterSettings(masters=(MasterSettings("m"),), nodes=nodes)
    assert str(balancer_pool(settings)) == expected
