"""Discovery documents against what a real API server of 1.36 answered, for each kind that is served here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme
from controlplane.api.wire import discovery
from controlplane.kinds.catalog import SCHEME

Obj = dict[str, Any]

_RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "discovery.json").read_text())
PLAIN = {(row["groupVersion"], one["name"]): one for row in _RECORDED for one in row["resources"]}
AGGREGATED = {
    (row["groupVersion"], one["resource"]): one for row in _RECORDED for one in row["aggregated"]
}
ROWS = SCHEME.all()
IDS = [row.group_resource for row in ROWS]


def plain(row: Resource) -> dict[str, Obj]:
    content = discovery.api_resource_list(SCHEME, row.group, row.version)
    assert content is not None
    return {one["name"]: one for one in content["resources"]}


def aggregated(row: Resource) -> Obj:
    content = discovery.aggregated(SCHEME, "v2", legacy=not row.group)
    group = next(one for one in content["items"] if one["metadata"].get("name", "") == row.group)
    version = next(one for one in group["versions"] if one["version"] == row.version)
    assert version["freshness"] == "Current"
    return next(one for one in version["resources"] if one["resource"] == row.plural)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_resource_is_told_as_the_original_tells_it(row: Resource) -> None:
    assert plain(row)[row.plural] == PLAIN[row.group_version, row.plural]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_its_subresources_too(row: Resource) -> None:
    for name, one in plain(row).items():
        if name.startswith(row.plural + "/"):
            assert one == PLAIN[row.group_version, name]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_aggregated_form_says_the_same(row: Resource) -> None:
    mine, recorded = aggregated(row), dict(AGGREGATED[row.group_version, row.plural])
    expected = {one["subresource"]: one for one in recorded.pop("subresources", [])}
    for one in mine.pop("subresources", []):
        assert one == expected[one["subresource"]]
    assert mine == recorded


def _scheme(*names: tuple[str, str, str]) -> Scheme:
    return Scheme(
        Kind(Resource(group, version, kind, kind.lower() + "s")) for group, version, kind in names
    )


def test_groups_come_in_the_originals_order_and_custom_ones_after_by_name() -> None:
    scheme = _scheme(
        ("zoo.example.com", "v1", "Z"),
        ("batch", "v1", "Job"),
        ("an.example.com", "v1", "A"),
        ("apps", "v1", "Deployment"),
    )
    assert discovery.ordered_groups(scheme) == [
        "apps",
        "batch",
        "an.example.com",
        "zoo.example.com",
    ]


def test_versions_come_newest_and_most_stable_first() -> None:
    versions = ["v1alpha1", "v10", "foo1", "v1beta2", "v2", "v1beta10", "v1"]
    scheme = _scheme(*(("example.com", version, "W") for version in versions))
    assert discovery.ordered_versions(scheme, "example.com") == [
        *("v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo1")
    ]
