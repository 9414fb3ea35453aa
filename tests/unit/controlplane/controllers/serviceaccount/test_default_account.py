"""Each namespace has its default account, again when it was deleted, and none while it ends."""

from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS


async def test_every_namespace_gets_the_account(make_world):
    async with make_world() as world:
        await world.client.create(NAMESPACES, {"metadata": {"name": "e"}})
        await world.step(5)
        for namespace in ("d", "e", "default", "kube-system"):
            assert world.api.object(SERVICE_ACCOUNTS, "default", namespace) is not None


async def test_a_deleted_account_comes_back(make_world):
    async with make_world() as world:
        before = world.api.object(SERVICE_ACCOUNTS, "default", "d")
        await world.client.delete(SERVICE_ACCOUNTS, "default", "d")
        await world.step(5)
        after = world.api.object(SERVICE_ACCOUNTS, "default", "d")
        assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_namespace_that_ends_gets_none(make_world):
    async with make_world("--controllers=serviceaccount") as world:
        await world.client.delete(NAMESPACES, "d")
        await world.client.delete(SERVICE_ACCOUNTS, "default", "d")
        await world.step(10)
        assert world.api.object(SERVICE_ACCOUNTS, "default", "d") is None
