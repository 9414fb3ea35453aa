"""What the balancer makes in kube-system: taken by the API's own rules, and selecting what it should."""

import pytest

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.dns.config import parse_arguments
from controlplane.kinds.catalog import SCHEME
from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.local.balancer.addons import dns_account, dns_deployment, dns_service


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("Service", dns_service("10.96.0.10")),
        ("ServiceAccount", dns_account()),
        ("Deployment", dns_deployment(2)),
    ],
)
def test_nothing_is_wrong_with_them(kind: str, obj: Obj) -> None:
    (found,) = [
        one
        for one in SCHEME.kinds
        if one.resource.kind == kind and one.resource.group in ("", "apps")
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
