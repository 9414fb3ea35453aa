"""Which rules an aggregated role is made of."""

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.authz.rbac import policy
from controlplane.controllers.clusterroleaggregation.plan import aggregated_rules, is_aggregated

A, B, C = ({"verbs": [verb]} for verb in "abc")


def role(name: str, *rules: Obj, **labels: str) -> Obj:
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}


def aggregated(*selectors: dict[str, str]) -> Obj:
    made = role("sum", A, part="yes")
    made["aggregationRule"] = {
        "clusterRoleSelectors": [{"matchLabels": labels} for labels in selectors]
    }
    return made


ROLES = [role("z", A, B, part="yes"), role("a", B, C, part="yes"), role("o", A, part="no")]


@pytest.mark.parametrize(
    ("selectors", "rules"),
    [
        ([{"part": "yes"}], [B, C, A]),
        ([{"part": "no"}, {"part": "yes"}], [A, B, C]),
        ([{"part": "none"}], []),
    ],
    ids=["by name", "by selector first", "nothing taken"],
)
def test_rules_are_those_of_all_that_are_taken(
    selectors: list[dict[str, str]], rules: list[Obj]
) -> None:
    wanted = aggregated(*selectors)
    assert aggregated_rules(wanted, [wanted, *ROLES]) == rules


def test_a_role_is_no_part_of_itself() -> None:
    wanted = aggregated({"part": "yes"})
    assert aggregated_rules(wanted, [wanted]) == []
    assert is_aggregated(wanted)
    assert not is_aggregated(ROLES[0])


def test_view_is_what_it_is_in_a_fresh_cluster() -> None:
    roles = [one for one in policy.defaults() if one["kind"] == "ClusterRole"]
    view = next(one for one in roles if one["metadata"]["name"] == "view")
    part = next(one for one in roles if one["metadata"]["name"] == "system:aggregate-to-view")
    assert aggregated_rules(view, roles) == part["rules"]
