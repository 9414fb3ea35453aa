"""Rows of `kubectl get componentstatuses`."""

import pytest

from controlplane.kinds.core.component_status import KIND


@pytest.mark.parametrize(
    ("conditions", "cells"),
    [
        ([], ["scheduler", "Unknown", "", ""]),
        (
            [{"type": "Healthy", "status": "True", "message": "ok"}],
            ["scheduler", "Healthy", "ok", ""],
        ),
        (
            [{"type": "Healthy", "status": "False", "message": "", "error": "refused"}],
            ["scheduler", "Unhealthy", "", "refused"],
        ),
    ],
)
def test_health_is_shown(conditions, cells):
    obj = {"metadata": {"name": "scheduler"}, "conditions": conditions}
    assert [column.cell(obj, 0.0) for column in KIND.columns] == cells
