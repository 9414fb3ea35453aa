"""Names of images, and what they stand for."""

from pathlib import Path

import pytest

from controlplane.kubelet.images.catalog import ImageCatalog, short_name


@pytest.mark.parametrize(
    "reference", ["nginx", "nginx:1.14.2", "docker.io/library/nginx:1@sha256:00", "ghcr.io/a/nginx"]
)
def test_names_of_images(reference: str) -> None:
    assert short_name(reference) == "nginx"
    assert ImageCatalog().find(reference) is not None


def test_folders_are_images(tmp_path: Path) -> None:
    found = ImageCatalog().find(f"file://{tmp_path}")
    assert found is not None
    assert found.root == str(tmp_path)
    assert ImageCatalog().find("/no/such/folder") is None


def test_built_in_images_do_not_stand_for_those_of_somebodys_registry() -> None:
    assert ImageCatalog().find("r:5000/nginx") is None
