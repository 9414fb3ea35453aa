"""A namespace is given its objects and emptied when it is deleted."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS


async def test_a_namespace_gets_its_gifts_and_is_emptied_when_deleted(
    make_world, make_deployment, tmp_path
):
    (tmp_path / "ca").write_text("PEM")
    async with make_world(f"--root-ca-file={tmp_path}/ca") as world:
        await world.step(5)
        assert world.api.object(SERVICE_ACCOUNTS, "default", "d") is not None
        assert world.api.object(CONFIG_MAPS, "kube-root-ca.crt", "d")["data"] == {"ca.crt": "PEM"}
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(NAMESPACES, "d")
        await world.step(60)
        assert world.api.object(NAMESPACES, "d") is None
        for resource in (PODS, REPLICA_SETS, DEPLOYMENTS, CONFIG_MAPS, SERVICE_ACCOUNTS):
            assert world.api.objects(resource, "d") == []
