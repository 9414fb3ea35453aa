"""Every folder of controllers stands in the catalog once, by the names upstream's `--controllers` knows."""

import importlib
from pathlib import Path

import pytest

import controlplane.controllers
from controlplane.controllers.catalog import CONTROLLERS
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.program.options import flags_of

ROOT = Path(controlplane.controllers.__path__[0])
SHARED = {"framework", "workloads"}
FOLDERS = sorted(
    path.name
    for path in ROOT.iterdir()
    if (path / "__init__.py").exists() and path.name not in SHARED
)


def descriptors_of(folder: str) -> list[Descriptor]:
    """All descriptors that stand in the modules of a folder."""
    found: dict[int, Descriptor] = {}
    for path in sorted((ROOT / folder).glob("*.py")):
        module = importlib.import_module(f"controlplane.controllers.{folder}.{path.stem}")
        found |= {id(v): v for v in vars(module).values() if isinstance(v, Descriptor)}
    return list(found.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_controller_stands_in_the_catalog_once(folder: str) -> None:
    found = descriptors_of(folder)
    assert found, "a folder of controllers has a DESCRIPTOR"
    for descriptor in found:
        assert sum(descriptor is one for one in CONTROLLERS) == 1


def test_nothing_stands_in_the_catalog_without_a_folder() -> None:
    folders = [descriptor for folder in FOLDERS for descriptor in descriptors_of(folder)]
    assert all(any(one is known for known in folders) for one in CONTROLLERS)


def test_names_are_upstreams_form_and_told_apart() -> None:
    names = [name for one in CONTROLLERS for name in (one.name, *one.aliases)]
    assert len(set(names)) == len(names)
    assert all(one.name.endswith("-controller") for one in CONTROLLERS)


def test_flags_are_told_apart() -> None:
    flags = [flag for one in CONTROLLERS for flag in flags_of(one.options)]
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_controller_has_tests(folder: str) -> None:
    tests = Path(__file__).resolve().parents[1] / "unit/controlplane/controllers" / folder
    assert list(tests.glob("test_*.py"))
