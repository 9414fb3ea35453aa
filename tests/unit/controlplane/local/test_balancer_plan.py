"""Which Service gets which address of the machine's pool."""

from typing import Any

import pytest

from controlplane.api import meta
from controlplane.local.balancer.plan import CLASS, Plan, plan

POOL = "127.64.255.0/24"
FIRST, SECOND = "127.64.255.10", "127.64.255.11"


def service(name: str, held: str = "", second: int = 0, **spec: Any) -> dict[str, Any]:
    rows = [{"ip": held, "ipMode": "Proxy"}] if held else []
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
        },
        "spec": {"type": "LoadBalancer", **spec},
        "status": {"loadBalancer": {"ingress": rows} if rows else {}},
    }


def told(made: Plan) -> dict[str, str]:
    return {meta.name(one.service): one.rows[0]["ip"] if one.rows else "" for one in made.changes}


@pytest.mark.parametrize(
    ("services", "expected", "without"),
    [
        pytest.param([service("a")], {"a": FIRST}, [], id="the lowest that is free"),
        pytest.param([service("a", FIRST)], {}, [], id="kept"),
        pytest.param(
            [service("a", second=2), service("b", second=1)],
            {"b": FIRST, "a": SECOND},
            [],
            id="the oldest first",
        ),
        pytest.param(
            [service("a", second=1), service("b", FIRST, second=2)],
            {"a": SECOND},
            [],
            id="an older one takes none away",
        ),
        pytest.param(
            [service("a", FIRST, second=1), service("b", FIRST, second=2)],
            {"b": SECOND},
            [],
            id="one address, two Services: the older keeps it",
        ),
        pytest.param(
            [service("a", loadBalancerIP="127.64.255.77")],
            {"a": "127.64.255.77"},
            [],
            id="asked for",
        ),
        pytest.param(
            [service("a", loadBalancerIP="10.0.0.1")], {}, ["a"], id="asked for what is not here"
        ),
        pytest.param(
            [service("a", FIRST), service("b", loadBalancerIP=FIRST)],
            {},
            ["b"],
            id="asked for what is taken",
        ),
        pytest.param([service("a", loadBalancerClass="x.io/y")], {}, [], id="another balancer's"),
        pytest.param([service("a", loadBalancerClass=CLASS)], {"a": FIRST}, [], id="by its class"),
        pytest.param(
            [service("a", FIRST, type="ClusterIP")], {"a": ""}, [], id="no balancer any more"
        ),
        pytest.param(
            [service("a", FIRST, type="ClusterIP"), service("b")],
            {"a": "", "b": FIRST},
            [],
            id="what one loses another may have",
        ),
        pytest.param(
            [service("a", "203.0.113.5", type="ClusterIP")], {}, [], id="not of this pool"
        ),
        pytest.param([service("a", type="NodePort")], {}, [], id="never had one"),
    ],
)
def test_addresses(services: list[Any], expected: dict[str, str], without: list[str]) -> None:
    made = plan(services, POOL)
    assert told(made) == expected
    assert [meta.name(one) for one in made.without] == without


def test_a_pool_that_is_used_up() -> None:
    services = [service(f"s{number:03}", second=number % 60) for number in range(250)]
    made = plan(services, POOL)
    assert len(set(told(made).values())) == 245
    assert len(made.without) == 5
