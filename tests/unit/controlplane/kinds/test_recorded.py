"""What the API server says to objects of core, apps, coordination and rbac: as Kubernetes 1.36 to the same requests.

Rows in recorded/ are base, field, value (`<absent>`: the field is taken away), the causes; for tables object, status,
cells.
"""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "recorded"
MODULES = {
    "cluster_role": "controlplane.kinds.rbac.cluster_role",
    "cluster_role_binding": "controlplane.kinds.rbac.cluster_role_binding",
    "config_map": "controlplane.kinds.core.config_map",
    "deployment": "controlplane.kinds.apps.deployment",
    "endpoints": "controlplane.kinds.core.endpoints",
    "event": "controlplane.kinds.core.event",
    "lease": "controlplane.kinds.coordination.lease",
    "namespace": "controlplane.kinds.core.namespace",
    "node": "controlplane.kinds.core.node",
    "replica_set": "controlplane.kinds.apps.replica_set",
    "role": "controlplane.kinds.rbac.role",
    "role_binding": "controlplane.kinds.rbac.role_binding",
    "secret": "controlplane.kinds.core.secret",
    "service": "controlplane.kinds.core.service",
    "service_account": "controlplane.kinds.core.service_account",
}
RECORDED = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in MODULES}
KINDS = {name: importlib.import_module(module).KIND for name, module in MODULES.items()}


def _rows(part):
    return [
        pytest.param(name, *row, id=f"{name}-{row[0]}{row[1]}={json.dumps(row[2])[:40]}")
        for name, recorded in RECORDED.items()
        for row in recorded[part]
    ]


def test_every_record_is_told_to_a_kind():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(MODULES)


@pytest.mark.parametrize(("name", "base", "path", "value", "causes"), _rows("refused"))
def test_spoilt_objects_are_refused(judge, name, base, path, value, causes):
    obj = RECORDED[name]["bases"][base]
    assert judge.refusals(KINDS[name], obj, path, value) == causes


@pytest.mark.parametrize(("name", "base", "path", "value", "causes"), _rows("changes"))
def test_what_may_not_change(judge, name, base, path, value, causes):
    obj = RECORDED[name]["bases"][base]
    assert judge.changes(KINDS[name], obj, path, value) == causes


@pytest.mark.parametrize(
    ("name", "obj", "status", "cells"),
    [
        pytest.param(name, *row, id=f"{name}-{number}")
        for name, recorded in RECORDED.items()
        for number, row in enumerate(recorded["cells"])
    ],
)
def test_cells_of_tables(judge, name, obj, status, cells):
    assert judge.cells(KINDS[name], obj, status) == cells
