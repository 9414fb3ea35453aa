"""What a new cluster has is made once."""

from pathlib import Path

from controlplane.kinds.storage.storage_class import STORAGE_CLASSES, is_default
from controlplane.local.addons import install
from controlplane.testing.in_process import InProcessServer


async def test_the_default_class_is_made_once_and_stays_deleted(tmp_path: Path) -> None:
    async with InProcessServer() as server:
        client = server.client()
        await install(client, tmp_path)
        (made,) = (await client.list(STORAGE_CLASSES)).items
        assert is_default(made)
        assert made["volumeBindingMode"] == "WaitForFirstConsumer"
        await client.delete(STORAGE_CLASSES, made["metadata"]["name"])
        await install(client, tmp_path)
        assert (await client.list(STORAGE_CLASSES)).items == []


async def test_one_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    async with InProcessServer() as server:
        client = server.client()
        mine = {"metadata": {"name": "local-path"}, "provisioner": "example.com/mine"}
        await client.create(STORAGE_CLASSES, mine)
        await install(client, tmp_path)
        (kept,) = (await client.list(STORAGE_CLASSES)).items
        assert kept["provisioner"] == "example.com/mine"
