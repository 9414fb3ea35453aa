"""What the balancer makes: taken by the API's own rules, and selecting what it should."""

from pathlib import Path

import pytest

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import User
from controlplane.dns.config import parse_arguments
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.local.balancer.addon_maker import AddonMaker
from controlplane.local.balancer.addons import (
    default_class,
    dns_account,
    dns_deployment,
    dns_service,
)
from controlplane.local.balancer.config import BalancerConfig
from controlplane.testing.in_process import InProcessServer


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("Service", dns_service("10.96.0.10")),
        ("ServiceAccount", dns_account()),
        ("Deployment", dns_deployment(2)),
        ("StorageClass", default_class()),
    ],
)
def test_nothing_is_wrong_with_them(kind: str, obj: Obj) -> None:
    (found,) = [
        one
        for one in SCHEME.kinds
        if one.resource.kind == kind and one.resource.group in ("", "apps", "storage.k8s.io")
    ]
    whole = {**meta.copy_of(obj), "apiVersion": found.resource.group_version, "kind": kind}
    found.default(whole)
    assert found.validate(whole) == []


def test_the_service_leads_to_the_pods_of_the_deployment() -> None:
    deployment, service = dns_deployment(3), dns_service("10.96.0.10")
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"] == template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert template["spec"]["serviceAccountName"] == dns_account()["metadata"]["name"]
    (container,) = template["spec"]["containers"]
    assert ImageCatalog().find(container["image"]) is not None
    assert parse_arguments(container["args"]).listen_address.port == 53


async def test_the_default_class_is_made_once_in_the_life_of_a_folder(tmp_path: Path) -> None:
    async with InProcessServer() as server:
        client = server.client(User("quorate:balancer"))
        config = BalancerConfig("k", str(tmp_path), "127.1.255.0/24")
        server.down = True
        assert not await AddonMaker(client, config).make(False)
        server.down = False
        assert await AddonMaker(client, config).make(False)
        (made,) = server.objects(STORAGE_CLASSES)
        assert meta.name(made) == "local-path"
        server.remove(STORAGE_CLASSES, "local-path")
        assert await AddonMaker(client, config).make(False)
        assert server.objects(STORAGE_CLASSES) == []


async def test_name_servers_come_with_networks_of_pods(tmp_path: Path) -> None:
    async with InProcessServer(config=ApiServerConfig(authorization_modes=("RBAC",))) as server:
        client = server.client(User("quorate:balancer"))
        config = BalancerConfig(
            "k", str(tmp_path), "127.1.255.0/24", dns_address="10.96.0.10", coredns=2
        )
        maker = AddonMaker(client, config)
        assert await maker.make(False)
        assert server.object(SERVICES, "kube-dns", "kube-system") is None
        assert await maker.make(True)
        assert server.object(SERVICES, "kube-dns", "kube-system") is not None
        assert server.object(DEPLOYMENTS, "coredns", "kube-system") is not None
