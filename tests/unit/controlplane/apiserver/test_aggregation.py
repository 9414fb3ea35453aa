"""What of aggregation is pure: conditions, registration, identities, documents merged."""

from typing import Any

import pytest

from controlplane.apiserver.aggregation import availability, merging, registration
from controlplane.apiserver.aggregation.calls import identity
from controlplane.apiserver.aggregation.directory import Priority, Remote, remote_of
from controlplane.apiserver.aggregation.documents import from_plain
from controlplane.apiserver.bootstrap import trust
from controlplane.apiserver.http.messages import User

REMOTE = Remote("v1.x.io", "x.io", "v1", "ns", "api", 443)
SERVICE: dict[str, Any] = {"spec": {"type": "ClusterIP", "ports": [{"port": 443, "name": "s"}]}}
WHERE = 'service/api in "ns"'


def piece(ready: bool | None = True, port: str = "s") -> dict[str, Any]:
    conditions = {} if ready is None else {"ready": ready}
    return {
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": conditions}],
        "ports": [{"name": port, "port": 8443}],
    }


CASES: dict[str, tuple[Any, list[Any], tuple[str, str] | None]] = {
    "no_service": (None, [], ("ServiceNotFound", f"{WHERE} is not present")),
    "other_port": (
        {"spec": {"ports": [{"port": 80}]}},
        [],
        ("ServicePortError", f"{WHERE} is not listening on port 443"),
    ),
    "no_slices": (
        SERVICE,
        [],
        ("EndpointsNotFound", f"cannot find endpointslices for {WHERE}"),
    ),
    "none_ready": (
        SERVICE,
        [piece(ready=False)],
        ("MissingEndpoints", f'endpointslices for {WHERE} have no addresses with port name "s"'),
    ),
    "other_name": (
        SERVICE,
        [piece(port="t")],
        ("MissingEndpoints", f'endpointslices for {WHERE} have no addresses with port name "s"'),
    ),
    "ready": (SERVICE, [piece()], None),
    "readiness_not_told": (SERVICE, [piece(ready=False), piece(ready=None)], None),
    "elsewhere": ({"spec": {"type": "ExternalName", "externalName": "a.b"}}, [], None),
}


@pytest.mark.parametrize(("service", "slices", "wanted"), CASES.values(), ids=CASES)
def test_services_that_lead_nowhere(
    service: Any, slices: list[Any], wanted: tuple[str, str] | None
) -> None:
    found = availability.refused_by_service(REMOTE, service, slices)
    assert (found and (found.reason, found.message)) == wanted
    assert found is None or found.status == "False"


def test_the_condition_keeps_its_time_while_its_status_stays() -> None:
    down = availability.Verdict("False", "ServiceNotFound", "gone")
    first = availability.with_verdict({"metadata": {}}, down, "t1")
    [condition] = first["status"]["conditions"]
    assert condition == {
        "type": "Available",
        "lastTransitionTime": "t1",
        "status": "False",
        "reason": "ServiceNotFound",
        "message": "gone",
    }
    other = availability.Verdict("False", "MissingEndpoints", "none")
    second = availability.with_verdict(first, other, "t2")
    assert second["status"]["conditions"][0]["lastTransitionTime"] == "t1"
    third = availability.with_verdict(second, availability.PASSED, "t3")
    assert third["status"]["conditions"][0]["lastTransitionTime"] == "t3"
    assert availability.with_verdict(third, availability.PASSED, "t4") is third


def test_what_an_api_service_says() -> None:
    obj = {
        "metadata": {"name": "v1.x.io"},
        "spec": {
            "group": "x.io",
            "version": "v1",
            "service": {"namespace": "ns", "name": "api"},
            "caBundle": "UEVN",
        },
        "status": {"conditions": [{"type": "Available", "status": "True"}]},
    }
    found = remote_of(obj)
    assert found == Remote("v1.x.io", "x.io", "v1", "ns", "api", 443, b"PEM", is_available=True)
    assert (found.host, found.path) == ("api.ns.svc", "/apis/x.io/v1")
    assert remote_of({"spec": {"group": "x.io", "version": "v1"}}) is None


def service_of(group: str, version: str, **labels: str) -> dict[str, Any]:
    made = registration.wanted(group, version)
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def test_custom_group_versions_have_an_api_service() -> None:
    managed = {registration.MANAGED: "true"}
    changed = service_of("b.io", "v1", **managed)
    changed["spec"] = {**changed["spec"], "versionPriority": 1}
    existing = [
        service_of("a.io", "v1", **managed),
        changed,
        service_of("c.io", "v1"),
        service_of("gone.io", "v1", **managed),
        service_of("apps", "v1", **{registration.MANAGED: "onstart"}),
    ]
    served = [("a.io", "v1"), ("b.io", "v1"), ("c.io", "v1"), ("d.io", "v1")]
    plan = registration.plan(served, existing)
    names = [[one["metadata"]["name"] for one in part] for part in (plan.create, plan.update)]
    assert names == [["v1.d.io"], ["v1.b.io"]]
    assert [one["metadata"]["name"] for one in plan.delete] == ["v1.gone.io"]
    assert plan.create[0]["spec"]["groupPriorityMinimum"] == 1000


def test_who_asks_is_told() -> None:
    user = User("me", ("a", "b"), "7", {"example.com/scopes": ("x", "y")})
    assert identity(user) == [
        ("X-Remote-User", "me"),
        ("X-Remote-Uid", "7"),
        ("X-Remote-Group", "a"),
        ("X-Remote-Group", "b"),
        ("X-Remote-Extra-example.com%2Fscopes", "x"),
        ("X-Remote-Extra-example.com%2Fscopes", "y"),
    ]


def group(name: str, *versions: str) -> dict[str, Any]:
    return {"name": name, "versions": [{"version": one} for one in versions]}


def test_groups_stand_by_priority() -> None:
    own = [group("apiregistration.k8s.io", "v1"), group("apps", "v1"), group("custom.io", "v1")]
    remotes = [
        REMOTE,
        Remote("v1beta1.x.io", "x.io", "v1beta1", "ns", "api", 443),
        Remote("v2.custom.io", "custom.io", "v2", "ns", "api", 443),
        Remote("v1.top.io", "top.io", "v1", "ns", "api", 443),
    ]
    priorities = {
        ("apps", "v1"): Priority(17800, 15),
        ("custom.io", "v1"): Priority(1000, 100),
        ("custom.io", "v2"): Priority(1000, 10),
        ("x.io", "v1"): Priority(100, 10),
        ("x.io", "v1beta1"): Priority(2000, 20),
        ("top.io", "v1"): Priority(18000, 1),
    }
    found = merging.groups(own, remotes, priorities)
    assert [(one["name"], [row["version"] for row in one["versions"]]) for one in found] == [
        ("apiregistration.k8s.io", ["v1"]),
        ("top.io", ["v1"]),
        ("apps", ["v1"]),
        ("x.io", ["v1beta1", "v1"]),
        ("custom.io", ["v1", "v2"]),
    ]
    assert found[3]["preferredVersion"] == {"groupVersion": "x.io/v1beta1", "version": "v1beta1"}
    items = [{"metadata": {"name": "apps"}, "versions": [{"version": "v1"}]}]
    entry = {"version": "v1", "freshness": "Stale"}
    merged = merging.aggregated(items, [(REMOTE, entry)], priorities)
    assert merged[1] == {"metadata": {"name": "x.io"}, "versions": [entry]}


def test_documents_become_one() -> None:
    ref = "#/definitions/"
    own = {
        "swagger": "2.0",
        "paths": {"/apis/apps/v1/": {"get": {}}},
        "definitions": {"Same": {"type": "string"}, "Other": {"type": "integer"}},
    }
    spec = {
        "paths": {
            "/apis/x.io/v1/things": {"get": {"schema": {"$ref": ref + "Thing"}}},
            "/apis/elsewhere/v1/": {"get": {}},
            "/apis/apps/v1/": {"get": {"theirs": True}},
        },
        "definitions": {
            "Thing": {"a": {"$ref": ref + "Same"}, "b": [{"$ref": ref + "Other"}]},
            "Same": {"type": "string"},
            "Other": {"type": "boolean"},
            "Unused": {},
        },
    }
    merged = merging.openapi_v2(own, [(REMOTE, spec)])
    assert set(merged["paths"]) == {"/apis/apps/v1/", "/apis/x.io/v1/things"}
    assert merged["paths"]["/apis/apps/v1/"] == {"get": {}}
    assert merged["definitions"] == {
        "Same": {"type": "string"},
        "Other": {"type": "integer"},
        "Other_v2": {"type": "boolean"},
        "Thing": {"a": {"$ref": ref + "Same"}, "b": [{"$ref": ref + "Other_v2"}]},
    }


def test_plain_lists_in_the_newer_form() -> None:
    rows = [
        {"name": "things/status", "namespaced": True, "kind": "Thing", "verbs": ["get"]},
        {
            "name": "things",
            "singularName": "thing",
            "namespaced": True,
            "kind": "Thing",
            "verbs": ["list"],
            "shortNames": ["th"],
        },
    ]
    kind = {"group": "", "version": "", "kind": "Thing"}
    assert from_plain(rows) == [
        {
            "resource": "things",
            "responseKind": kind,
            "scope": "Namespaced",
            "singularResource": "thing",
            "verbs": ["list"],
            "shortNames": ["th"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
        }
    ]


def test_trust_is_added_and_never_taken_away() -> None:
    live = {"data": {"requestheader-allowed-names": '["a"]', "other": "kept"}}
    own = {"requestheader-allowed-names": '["b","a"]'}
    merged = trust.completed(live, own)
    assert merged["data"] == {"requestheader-allowed-names": '["a","b"]', "other": "kept"}
    assert trust.completed(merged, own) is merged
