"""The columns of every served kind's Table, against those of a real API server of 1.36."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controlplane.api.kind import Kind
from controlplane.api.table.columns import AGE, NAME
from controlplane.kinds.catalog import SCHEME

_RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "columns.json").read_text())
COLUMNS = {row["path"]: row["columns"] for row in _RECORDED}
KINDS = [kind for kind in SCHEME.kinds if kind.resource.path() in COLUMNS]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.resource.group_resource for kind in KINDS])
def test_names_types_and_priorities(kind: Kind) -> None:
    made = [column.definition() for column in kind.columns]
    shown = [[one["name"], one["type"], one["format"], one["priority"]] for one in made]
    assert shown == COLUMNS[kind.resource.path()]


def test_descriptions_of_metadata_are_those_of_the_api() -> None:
    assert NAME.definition()["description"].startswith("Name must be unique within a namespace.")
    assert "Populated by the system." in AGE.definition()["description"]
