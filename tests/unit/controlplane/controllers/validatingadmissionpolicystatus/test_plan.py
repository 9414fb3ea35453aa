"""Which kinds a policy is checked against."""

import pytest

from controlplane.api.meta import Obj
from controlplane.controllers.validatingadmissionpolicystatus.plan import (
    custom_schema,
    is_due,
    kinds_to_check,
    shown,
)
from controlplane.kinds.catalog import SCHEME


def rule(group: str, version: str, *resources: str) -> Obj:
    return {"apiGroups": [group], "apiVersions": [version], "resources": list(resources)}


@pytest.mark.parametrize(
    ("rules", "kinds"),
    [
        pytest.param(
            [rule("apps", "v1", "deployments")], ["apps/v1, Kind=Deployment"], id="by name"
        ),
        pytest.param(
            [rule("", "v1", "pods", "configmaps")],
            ["/v1, Kind=ConfigMap", "/v1, Kind=Pod"],
            id="in order",
        ),
        pytest.param([rule("", "v1", "*")], [], id="all resources"),
        pytest.param([rule("*", "v1", "pods")], [], id="all groups"),
        pytest.param([rule("", "*", "pods")], [], id="all versions"),
        pytest.param([rule("", "v1", "pods/status")], [], id="subresource"),
        pytest.param([rule("nothing", "v1", "pods")], [], id="not served"),
    ],
)
def test_kinds_that_rules_name_are_checked(rules: list[Obj], kinds: list[str]) -> None:
    policy = {"spec": {"matchConstraints": {"resourceRules": rules}}}
    assert [shown(row) for row in kinds_to_check(policy, SCHEME.all())] == kinds


def test_a_policy_is_checked_once_each_time_it_changes() -> None:
    policy: Obj = {"metadata": {"name": "p", "generation": 2}}
    assert is_due(policy)
    assert not is_due({**policy, "status": {"observedGeneration": 2}})
    ending = {"name": "p", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert not is_due({"metadata": ending})


def test_the_schema_of_a_custom_resource_is_that_of_its_version() -> None:
    row = SCHEME.of("Deployment")
    crd = {
        "spec": {
            "group": row.group,
            "names": {"plural": row.plural},
            "versions": [
                {"name": "v0", "schema": {"openAPIV3Schema": {"type": "string"}}},
                {"name": row.version, "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        }
    }
    assert custom_schema([crd], row) == {"type": "object"}
    assert custom_schema([], row) is None
