"""The balancer program against an API server in the process: what it writes of what cannot be had, and how often."""

import asyncio
import random

import pytest

from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.networking.ingress import INGRESSES
from controlplane.local.balancer.app import App
from controlplane.local.balancer.config import BalancerConfig
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import SystemClock
from kvstore.base.tasks import Supervisor

POOL = "127.64.253.0/24"


@pytest.fixture
async def api(tmp_path):
    supervisor = Supervisor("balancer")
    async with InProcessServer() as server:
        config = BalancerConfig("", str(tmp_path), POOL)
        app = App(config, server.client(), SystemClock(), random.Random(1))
        supervisor.start(app.run(), "balancer")
        try:
            yield server
        finally:
            await supervisor.stop()


async def events(server, reason, count=1):
    """What was told for a reason, once it was told of so many objects."""
    async with asyncio.timeout(20):
        while True:
            found = [one for one in server.objects(EVENTS) if one["reason"] == reason]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_tells_of_a_certificate_that_is_not_there(api):
    await api.client().create(
        INGRESSES,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "ingressClassName": "quorate",
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
                "tls": [{"hosts": ["web.example"], "secretName": "gone"}],
            },
        },
        "default",
    )
    (told,) = await events(api, "BadCertificate")
    assert told["involvedObject"]["name"] == "web"
    assert told["source"]["component"] == "ingress-controller"
    assert "gone" in told["message"]


async def test_tells_once_of_an_address_that_cannot_be_had(api):
    def service(name, address):
        return {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "LoadBalancer", "loadBalancerIP": address, "ports": [{"port": 80}]},
        }

    client = api.client()
    await client.create(SERVICES, service("far", "192.0.2.1"), "default")
    await events(api, "SyncLoadBalancerFailed")
    await client.create(SERVICES, service("near", "127.64.253.77"), "default")
    await events(api, "EnsuredLoadBalancer")
    await asyncio.sleep(2.5)
    (told,) = await events(api, "SyncLoadBalancerFailed")
    assert told["involvedObject"]["name"] == "far"
    assert told["count"] == 1
    await client.delete(SERVICES, "near", "default")
    await client.create(SERVICES, service("again", "192.0.2.2"), "default")
    assert len(await events(api, "SyncLoadBalancerFailed", 2)) == 2
