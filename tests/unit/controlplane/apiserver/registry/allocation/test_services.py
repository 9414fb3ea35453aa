"""Addresses and node ports of Services: taken once, carried along, given back."""

import asyncio
import random
from itertools import islice
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.errors import Invalid
from controlplane.api.meta import Obj
from controlplane.apiserver.registry.allocation.ranges import PortRange, parse_ranges
from controlplane.apiserver.registry.allocation.repair import LEAK_SECONDS, repair
from controlplane.apiserver.registry.allocation.services import (
    ADDRESSES,
    PORTS,
    ServiceAllocator,
    keys_of,
)
from controlplane.kinds.core.service import KIND, SERVICES
from controlplane.storage.memory import MemoryStorage
from kvstore.base.clock import ManualClock


class World:
    """An allocator over a store, and the part of a registry that matters to it."""

    def __init__(self, ranges: str = "10.96.0.0/16") -> None:
        self.storage = MemoryStorage()
        self.clock = ManualClock()
        self.allocator = ServiceAllocator(
            SERVICES, self.storage, ranges, self.clock, random.Random(1)
        )

    async def create(self, name: str = "s", *, dry: bool = False, **spec: Any) -> Obj:
        obj: Obj = {"metadata": {"name": name, "namespace": "d", "uid": name}, "spec": spec}
        spec.setdefault("ports", [{"port": 80}])
        KIND.default(obj)
        taken = await self.allocator.for_create(obj, is_dry_run=dry)
        if not dry:
            await self.storage.create(SERVICES.key("d", name), obj)
            await taken.commit()
        return obj

    async def change(self, obj: Obj, **spec: Any) -> Obj:
        new = meta.copy_of(obj)
        new["spec"] = {**new["spec"], **spec}
        new["spec"] = {key: value for key, value in new["spec"].items() if value is not None}
        KIND.default(new)
        taken = await self.allocator.for_update(new, obj, is_dry_run=False)
        KIND.strategy(SERVICES).prepare_for_update(new, obj)
        assert KIND.validate_update(new, obj) == []
        await self.storage.guaranteed_update(
            SERVICES.key("d", meta.name(obj)), lambda _: _same(new)
        )
        await taken.commit()
        return new

    async def held(self) -> set[str]:
        pages = [await self.storage.list(prefix) for prefix in (ADDRESSES, PORTS)]
        return {meta.name(entry) for page in pages for entry in page.items}


async def _same(obj: Obj) -> Obj:
    return obj


@pytest.fixture
def world() -> World:
    return World()


async def test_a_service_gets_an_address_that_is_written_down(world: World) -> None:
    made = await world.create()
    spec = made["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    entry = await world.storage.get(ADDRESSES + spec["clusterIP"])
    assert entry["spec"]["parentRef"] == {"resource": "services", "namespace": "d", "name": "s"}
    assert entry["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"


async def test_a_type_patched_to_and_fro_takes_and_gives_back(world: World) -> None:
    first = await world.create()
    node_port = await world.change(first, type="NodePort")
    number = node_port["spec"]["ports"][0]["nodePort"]
    assert await world.held() == {first["spec"]["clusterIP"], str(number)}
    name = await world.change(node_port, type="ExternalName", externalName="example.com")
    assert await world.held() == set()
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & set(name["spec"])
    assert "nodePort" not in name["spec"]["ports"][0]
    back = await world.change(name, type="ClusterIP", externalName=None)
    assert await world.held() == {back["spec"]["clusterIP"]}


async def test_a_put_without_what_was_given_keeps_it(world: World) -> None:
    made = await world.create(type="NodePort")
    bare = await world.change(made, clusterIP=None, clusterIPs=None, ports=[{"port": 80}])
    assert bare["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert bare["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]


async def test_a_dry_run_shows_and_takes_nothing(world: World) -> None:
    shown = await world.create(dry=True, type="NodePort")
    assert shown["spec"]["clusterIP"]
    assert shown["spec"]["ports"][0]["nodePort"]
    assert await world.held() == set()


async def test_a_failed_write_gives_back_what_it_took(world: World) -> None:
    obj: Obj = {"metadata": {"name": "s", "namespace": "d"}, "spec": {"ports": [{"port": 1}]}}
    KIND.default(obj)
    taken = await world.allocator.for_create(obj, is_dry_run=False)
    assert await world.held()
    await taken.revert()
    assert await world.held() == set()


async def test_many_at_once_never_share(world: World) -> None:
    made = await asyncio.gather(*(world.create(f"s{n}", type="NodePort") for n in range(60)))
    assert len({one["spec"]["clusterIP"] for one in made}) == 60
    assert len({one["spec"]["ports"][0]["nodePort"] for one in made}) == 60


async def test_two_protocols_of_a_port_share_a_node_port(world: World) -> None:
    ports = [
        {"name": "t", "port": 53, "protocol": "TCP"},
        {"name": "u", "port": 53, "protocol": "UDP"},
        {"name": "o", "port": 54, "protocol": "TCP"},
    ]
    made = await world.create(type="NodePort", ports=ports)
    first, second, third = (row["nodePort"] for row in made["spec"]["ports"])
    assert (first == second, first == third) == (True, False)


async def test_a_local_load_balancer_has_a_health_port_until_it_is_none(world: World) -> None:
    made = await world.create(type="LoadBalancer", externalTrafficPolicy="Local")
    number = made["spec"]["healthCheckNodePort"]
    assert str(number) in await world.held()
    plain = await world.change(made, externalTrafficPolicy="Cluster")
    assert "healthCheckNodePort" not in plain["spec"]
    assert str(number) not in await world.held()


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        pytest.param(
            {"clusterIP": "10.1.2.3"},
            "spec.clusterIPs",
            "failed to allocate IP 10.1.2.3: the provided IP (10.1.2.3) is not in the valid range. "
            "The range of valid IPs is 10.96.0.0/16",
            id="foreign-address",
        ),
        pytest.param(
            {"clusterIP": "10.96.0.9"},
            "spec.clusterIPs",
            "failed to allocate IP 10.96.0.9: provided IP is already allocated",
            id="taken-address",
        ),
        pytest.param(
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            "provided port is not in the valid range. The range of valid ports is 30000-32767",
            id="low-port",
        ),
        pytest.param(
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30007}]},
            "spec.ports[0].nodePort",
            "provided port is already allocated",
            id="taken-port",
        ),
        pytest.param(
            {"ipFamilies": ["IPv6"]},
            "spec.ipFamilies[0]",
            "not configured on this cluster",
            id="other-family",
        ),
        pytest.param(
            {"ipFamilyPolicy": "RequireDualStack"},
            "spec.ipFamilyPolicy",
            "this cluster is not configured for dual-stack services",
            id="two-families",
        ),
    ],
)
async def test_what_cannot_be_given_is_refused_and_leaves_nothing(
    world: World, spec: Obj, field: str, message: str
) -> None:
    ports = [{"port": 1, "nodePort": 30007}]
    await world.create("first", clusterIP="10.96.0.9", type="NodePort", ports=ports)
    before = await world.held()
    with pytest.raises(Invalid) as caught:
        await world.create("second", **spec)
    (cause,) = caught.value.causes
    assert cause.field == field
    assert cause.message.endswith(": " + message)
    assert await world.held() == before


async def test_headless_without_selector_is_of_both_families(world: World) -> None:
    made = await world.create(clusterIP="None")
    assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert made["spec"]["ipFamilyPolicy"] == "RequireDualStack"
    assert await world.held() == set()


async def test_two_ranges_give_two_addresses_and_single_stack_gives_one_back() -> None:
    world = World("10.96.0.0/16,fd00::/108")
    made = await world.create(ipFamilyPolicy="PreferDualStack")
    assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert await world.held() == set(made["spec"]["clusterIPs"])
    single = await world.change(made, ipFamilyPolicy="SingleStack")
    assert single["spec"]["clusterIPs"] == made["spec"]["clusterIPs"][:1]
    assert await world.held() == set(single["spec"]["clusterIPs"])


async def test_release_gives_all_back(world: World) -> None:
    made = await world.create(type="NodePort")
    await world.allocator.release(made)
    assert await world.held() == set()


async def test_repair_frees_leaks_after_a_while_and_writes_down_what_is_missing(
    world: World,
) -> None:
    kept = await world.create("kept", type="NodePort")
    lost = await world.create("lost")
    await world.storage.delete(SERVICES.key("d", "lost"))
    address = ADDRESSES + kept["spec"]["clusterIP"]
    await world.storage.delete(address)
    ledger = world.allocator.ledger
    done = await repair(SERVICES, ledger, world.clock)
    assert (done.written, done.freed) == ((address,), ())
    await world.clock.advance(LEAK_SECONDS + 1)
    done = await repair(SERVICES, ledger, world.clock)
    assert (done.written, done.freed) == ((), (ADDRESSES + lost["spec"]["clusterIP"],))
    assert set(keys_of(kept["spec"])) == {
        *(ADDRESSES + one for one in kept["spec"]["clusterIPs"]),
        f"{PORTS}{kept['spec']['ports'][0]['nodePort']}",
    }


def test_the_lower_part_of_a_range_comes_last() -> None:
    (addresses,) = parse_ranges("10.0.0.0/24")
    order = list(addresses.candidates("x"))
    assert len(order) == len(set(order)) == 254
    assert set(order[-16:]) == {f"10.0.0.{n}" for n in range(1, 17)}
    ports = list(islice(PortRange().candidates("x"), 3000))
    assert min(ports[: 2768 - 86]) == 30086
    assert sorted(ports) == list(range(30000, 32768))
