"""Every file of a group of kinds stands in its group's list once, and no two kinds share a name or a store."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import controlplane.kinds
from controlplane.api.kind import Kind
from controlplane.kinds.catalog import BUILT_IN

TESTS = Path(__file__).parents[1] / "unit/controlplane/kinds"
# Answers of the original to kinds that have no module of tests of their own, in one form.
RECORDED = TESTS / "recorded"

# Modules with a KIND that only occurs as the body of a subresource, and is not served by itself.
BODIES = {
    "controlplane.kinds.authentication.token_request",
    "controlplane.kinds.autoscaling.scale",
    "controlplane.kinds.policy.eviction",
}


def _kinds() -> dict[str, Kind]:
    names = [
        row.name
        for row in pkgutil.walk_packages(controlplane.kinds.__path__, "controlplane.kinds.")
    ]
    modules = {name: importlib.import_module(name) for name in names}
    return {name: module.KIND for name, module in modules.items() if hasattr(module, "KIND")}


@pytest.mark.parametrize(
    ("name", "kind"),
    sorted(_kinds().items()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_stands_in_its_group_once(name: str, kind: Kind) -> None:
    count = sum(one is kind for one in BUILT_IN)
    assert count == (0 if name in BODIES else 1)


def _stored() -> list[str]:
    """All but bodies and reviews: those are questions, whose tests stand with their answers."""
    return sorted(
        name
        for name, kind in _kinds().items()
        if name not in BODIES and kind.resource.verbs != ("create",)
    )


@pytest.mark.parametrize("name", _stored())
def test_every_kind_has_tests(name: str) -> None:
    """`test_<kind>.py` or a table `recorded/<kind>.json`; for a kind with a folder, a folder of that name."""
    group, *path = name.removeprefix("controlplane.kinds.").removesuffix(".kind").split(".")
    kind, folder = "_".join(path), TESTS / group
    places = (folder / f"test_{kind}.py", folder / kind, RECORDED / f"{kind}.json")
    assert any(place.exists() for place in places), f"no tests for {name}"


def test_no_kind_is_listed_without_a_file() -> None:
    assert all(any(kind is one for one in _kinds().values()) for kind in BUILT_IN)


def test_names_and_stores_are_told_apart() -> None:
    rows = [kind.resource for kind in BUILT_IN]
    assert len({(row.group, row.version, row.plural) for row in rows}) == len(rows)
    assert len({(row.group_version, row.kind) for row in rows}) == len(rows)
    own = [kind.resource.key_prefix for kind in BUILT_IN if kind.conversion is None]
    assert len(set(own)) == len(own)
