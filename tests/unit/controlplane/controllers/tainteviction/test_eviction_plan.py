"""When a Pod must leave its node."""

import pytest

from controlplane.controllers.tainteviction.plan import plan_eviction

UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def node(name="n", ready="True", taints=(), **spec):
    return {
        "metadata": {"name": name},
        "spec": {"taints": list(taints), **spec},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("tolerations", "after"),
    [
        pytest.param([], 300.0, id="default"),
        pytest.param([{"operator": "Exists"}], None, id="tolerates_all"),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "tolerationSeconds": 7}],
            7.0,
            id="seconds",
        ),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "effect": "NoSchedule"}],
            300.0,
            id="other_effect",
        ),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "tolerationSeconds": -1}],
            0.0,
            id="at_once",
        ),
    ],
)
def test_tolerations(tolerations, after):
    subject = {"spec": {"tolerations": tolerations}}
    assert plan_eviction(subject, node(taints=[UNREACHABLE]), 300.0).after_seconds == after


def test_other_taints_evict_at_once():
    custom = {"key": "maintenance", "value": "x", "effect": "NoExecute"}
    assert plan_eviction({"spec": {}}, node(taints=[custom]), 300.0).after_seconds == 0.0
