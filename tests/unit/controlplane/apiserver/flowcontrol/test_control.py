"""Levels and schemas as the objects say: classification, shares, borrowing, levels that go."""

from typing import Any

import pytest

from controlplane.apiserver.bootstrap import defaults, flow_control
from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.flowcontrol.work import ONE_SEAT
from controlplane.apiserver.http import info
from controlplane.apiserver.http.messages import User
from kvstore.base.clock import ManualClock

Obj = dict[str, Any]

AUTHENTICATED = "system:authenticated"
EVERYTHING = [
    {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "namespaces": ["*"],
        "clusterScope": True,
    }
]
LEVELS = [one for one in defaults.objects() if one["kind"] == "PriorityLevelConfiguration"]
SCHEMAS = [one for one in defaults.objects() if one["kind"] == "FlowSchema"]


def control(clock: ManualClock | None = None, seats: int = 600) -> FlowControl:
    clock = clock or ManualClock()
    made = FlowControl(seats, flow_control.mandatory(), clock.monotonic, lambda seconds, call: None)
    made.digest(LEVELS, SCHEMAS)
    return made


def schema(name: str, level: str, precedence: int = 500, **rule: Any) -> Obj:
    return {
        "kind": "FlowSchema",
        "metadata": {"name": name, "uid": f"uid of {name}"},
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "rules": [{"subjects": [{"kind": "Group", "group": {"name": "*"}}], **rule}],
        },
    }


def level(name: str, **limited: Any) -> Obj:
    spec = {
        "nominalConcurrencyShares": 10,
        "limitResponse": {"type": "Reject"},
        **limited,
    }
    return {
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name, "uid": f"uid of {name}"},
        "spec": {"type": "Limited", "limited": spec},
    }


@pytest.mark.parametrize(
    ("user", "method", "path", "schema_name", "level_name"),
    [
        (User("a", ("system:masters", AUTHENTICATED)), "GET", "/api/v1/pods", "exempt", "exempt"),
        (User("a", (AUTHENTICATED,)), "GET", "/readyz", "probes", "exempt"),
        (User("a", (AUTHENTICATED,)), "GET", "/readyz/etcd", "probes", "exempt"),
        (User("a", (AUTHENTICATED,)), "GET", "/readyzz", "global-default", "global-default"),
        (User("a", (AUTHENTICATED,)), "GET", "/api/v1/pods", "global-default", "global-default"),
        (
            User("system:kube-controller-manager", (AUTHENTICATED,)),
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kcm",
            "system-leader-election",
            "leader-election",
        ),
        (
            User("system:kube-controller-manager", (AUTHENTICATED,)),
            "PUT",
            "/api/v1/namespaces/other/pods/p",
            "kube-controller-manager",
            "workload-high",
        ),
        (
            User("system:node:n1", ("system:nodes", AUTHENTICATED)),
            "PATCH",
            "/api/v1/nodes/n1/status",
            "system-node-high",
            "node-high",
        ),
        (
            User("system:node:n1", ("system:nodes", AUTHENTICATED)),
            "GET",
            "/api/v1/namespaces/d/pods/p",
            "system-nodes",
            "system",
        ),
        (
            User("system:serviceaccount:kube-system:dns", ("system:serviceaccounts",)),
            "GET",
            "/api/v1/pods",
            "kube-system-service-accounts",
            "workload-high",
        ),
        (
            User("system:serviceaccount:kube-systems:dns", ("system:serviceaccounts",)),
            "GET",
            "/api/v1/pods",
            "service-accounts",
            "workload-low",
        ),
        (
            User("system:anonymous", ("system:unauthenticated",)),
            "GET",
            "/api/v1/pods",
            "global-default",
            "global-default",
        ),
        (User("nobody"), "GET", "/api/v1/pods", "catch-all", "catch-all"),
    ],
)
def test_where_requests_belong_by_default(
    user: User, method: str, path: str, schema_name: str, level_name: str
) -> None:
    flow = control().classify(user, info.parse(method, path))
    assert (flow.schema.name, flow.level.name) == (schema_name, level_name)


@pytest.mark.parametrize(
    ("rule", "method", "path", "is_of_it"),
    [
        ({"verbs": ["get"]}, "GET", "/api/v1/namespaces/d/pods/p", True),
        ({"verbs": ["get"]}, "GET", "/api/v1/namespaces/d/pods", False),
        ({"apiGroups": ["apps"]}, "GET", "/api/v1/pods", False),
        ({"resources": ["pods"]}, "GET", "/api/v1/namespaces/d/pods/p/status", False),
        ({"resources": ["pods/status"]}, "GET", "/api/v1/namespaces/d/pods/p/status", True),
        ({"namespaces": ["e"]}, "GET", "/api/v1/namespaces/d/pods", False),
        ({"clusterScope": False}, "GET", "/api/v1/pods", False),
        ({"clusterScope": False}, "GET", "/api/v1/namespaces/d/pods", True),
        ({"resources": ["*", "pods"]}, "GET", "/api/v1/namespaces/d/services", False),
    ],
    ids=[
        *("verb", "other verb", "other group", "subresource", "named subresource"),
        *("other namespace", "cluster", "no cluster", "a star among others is no star"),
    ],
)
def test_rules_of_resources(rule: Obj, method: str, path: str, is_of_it: bool) -> None:
    flow = control()
    resources = [{**EVERYTHING[0], **rule}]
    flow.digest(LEVELS, [*SCHEMAS, schema("mine", "workload-low", resourceRules=resources)])
    found = flow.classify(User("u", (AUTHENTICATED,)), info.parse(method, path))
    assert (found.schema.name == "mine") == is_of_it


def test_the_lower_precedence_wins_and_then_the_name() -> None:
    flow = control()
    made = [
        schema(name, "workload-low", precedence, resourceRules=EVERYTHING)
        for name, precedence in (("b", 70), ("a", 70), ("c", 60))
    ]
    user, pods = User("u", (AUTHENTICATED,)), info.parse("GET", "/api/v1/pods")
    flow.digest(LEVELS, made)
    assert flow.classify(user, pods).schema.name == "c"
    flow.digest(LEVELS, made[:2])
    assert flow.classify(user, pods).schema.name == "a"


def test_flows_are_told_by_user_or_namespace() -> None:
    flow, path = control(), "/api/v1/namespaces/d/pods"
    by_user = flow.classify(User("u", (AUTHENTICATED,)), info.parse("GET", path))
    by_namespace = flow.classify(
        User("system:serviceaccount:kube-system:x", ()), info.parse("GET", path)
    )
    assert (by_user.distinguisher, by_namespace.distinguisher) == ("u", "d")
    other = flow.classify(User("v", (AUTHENTICATED,)), info.parse("GET", path))
    assert other.hand != by_user.hand


def test_shares_of_the_server_are_those_of_upstream() -> None:
    """The seats that a stock server of 600 shows at its start."""
    flow = control()
    assert {name: one.nominal for name, one in flow.levels.items()} == {
        "catch-all": 13,
        "exempt": 0,
        "global-default": 49,
        "leader-election": 25,
        "node-high": 98,
        "system": 74,
        "workload-high": 98,
        "workload-low": 245,
    }
    assert flow.levels["workload-low"].lowest == 24
    assert flow.levels["global-default"].most_seats == 8


async def test_a_busy_level_borrows_of_those_that_lend_and_gives_back() -> None:
    clock = ManualClock()
    flow = control(clock)
    user, pods = User("u", (AUTHENTICATED,)), info.parse("GET", "/api/v1/pods")
    found = flow.classify(user, pods)
    busy = found.level
    tickets = [
        busy.queues.start(ONE_SEAT, found.hand, found.tally) for _ in range(busy.nominal + 150)
    ]
    for _ in range(3):
        await clock.advance(10.0)
        flow.divide()
    assert busy.current > busy.nominal + 100
    assert sum(level.current for level in flow.levels.values()) <= flow.nominal_sum + 8
    for level in flow.levels.values():
        assert level.lowest <= level.current <= level.highest
    for ticket in tickets:
        assert ticket is not None
        if not busy.queues.leave(ticket):
            busy.queues.finish(ticket)
    other = flow.classify(User("system:serviceaccount:d:x", ("system:serviceaccounts",)), pods)
    for _ in range(400):
        other.level.queues.start(ONE_SEAT, other.hand, other.tally)
    for _ in range(40):
        await clock.advance(10.0)
        flow.divide()
    assert other.level.current > busy.current


def test_a_level_without_an_object_goes_when_its_last_request_has_ended() -> None:
    flow = control()
    extra = level("extra", limitResponse={"type": "Reject"})
    mine = schema("mine", "extra", resourceRules=EVERYTHING)
    flow.digest([*LEVELS, extra], [*SCHEMAS, mine])
    user, pods = User("u", (AUTHENTICATED,)), info.parse("GET", "/api/v1/pods")
    found = flow.classify(user, pods)
    ticket = found.level.queues.start(ONE_SEAT, found.hand, found.tally)
    assert ticket is not None
    references = flow.digest(LEVELS, [*SCHEMAS, mine])
    assert [one.level for one in references if one.is_dangling] == ["extra"]
    assert flow.levels["extra"].is_quiescing
    assert flow.classify(user, pods).schema.name == "global-default"
    found.level.queues.finish(ticket)
    flow.ended(found.level)
    assert flow.has_idle_leftovers
    flow.digest(LEVELS, [*SCHEMAS, mine])
    assert "extra" not in flow.levels


def test_without_objects_the_mandatory_ones_are_heeded() -> None:
    flow = control()
    flow.digest((), ())
    assert set(flow.levels) == {"exempt", "catch-all"}
    masters = User("a", ("system:masters",))
    assert flow.classify(masters, info.parse("GET", "/api/v1/pods")).level.spec.is_exempt
    anybody = User("a", (AUTHENTICATED,))
    assert flow.classify(anybody, info.parse("GET", "/version")).level.name == "catch-all"


def test_what_is_remembered_of_requests_is_bounded() -> None:
    flow = control()
    for number in range(10_000):
        flow.classify(User(f"user {number}", (AUTHENTICATED,)), info.parse("GET", "/version"))
    assert len(flow._remembered) <= 4096


@pytest.mark.parametrize(
    ("annotation", "generation", "spec_is", "made"),
    [
        ("true", 2, "changed", "spec"),
        ("true", 1, "same", None),
        ("false", 1, "changed", None),
        (None, 1, "changed", "spec and true"),
        (None, 2, "changed", "false"),
        ("perhaps", 1, "same", "true"),
    ],
    ids=["kept", "as it should be", "left alone", "untouched", "touched", "unreadable"],
)
def test_suggested_objects_are_kept_while_the_annotation_says_so(
    annotation: str | None, generation: int, spec_is: str, made: str | None
) -> None:
    expected = next(one for one in SCHEMAS if one["metadata"]["name"] == "global-default")
    spec = dict(expected["spec"])
    if spec_is == "changed":
        spec["matchingPrecedence"] = 9899
    annotations = {} if annotation is None else {flow_control.KEPT: annotation}
    current = {
        "kind": "FlowSchema",
        "metadata": {
            "name": "global-default",
            "generation": generation,
            "annotations": annotations,
        },
        "spec": spec,
    }
    revised = flow_control.revised(current, expected)
    if made is None:
        assert revised is None
        return
    assert revised is not None
    assert (revised["spec"] == expected["spec"]) == (made != "false")
    said = revised["metadata"]["annotations"][flow_control.KEPT]
    assert said == ("false" if made == "false" else "true")
    assert current["metadata"]["annotations"] == annotations
