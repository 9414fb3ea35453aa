"""Each namespace knows whom to trust to be the API server."""

import pytest

from controlplane.kinds.core.config_map import CONFIG_MAPS

NAME = "kube-root-ca.crt"
ONLY = "--controllers=root-ca-certificate-publisher-controller"


@pytest.fixture
def root_ca(tmp_path):
    (tmp_path / "ca").write_text("PEM")
    return f"--root-ca-file={tmp_path}/ca"


async def test_the_authority_is_published(make_world, root_ca):
    async with make_world(ONLY, root_ca) as world:
        for namespace in ("d", "default", "kube-system"):
            found = world.api.object(CONFIG_MAPS, NAME, namespace)
            assert found["data"] == {"ca.crt": "PEM"}
            assert "kubernetes.io/description" in found["metadata"]["annotations"]


@pytest.mark.parametrize("change", [{"data": {"ca.crt": "x"}}, {"data": {"more": "x"}}])
async def test_a_change_of_it_is_undone(make_world, root_ca, change):
    async with make_world(ONLY, root_ca) as world:
        await world.client.patch(CONFIG_MAPS, NAME, change, "d")
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, NAME, "d")["data"] == {"ca.crt": "PEM"}


async def test_it_comes_back(make_world, root_ca):
    async with make_world(ONLY, root_ca) as world:
        await world.client.delete(CONFIG_MAPS, NAME, "d")
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, NAME, "d") is not None


async def test_nothing_is_published_without_an_authority(make_world):
    async with make_world(ONLY) as world:
        assert world.api.objects(CONFIG_MAPS, "d") == []
