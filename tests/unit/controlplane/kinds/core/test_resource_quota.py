"""What the API server says to resourcequotas; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.resource_quota import KIND

ABSENT = "<absent>"

BASES = {
    "rich": {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "rich"},
        "spec": {
            "hard": {
                "count/deployments.apps": "2",
                "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
                "limits.memory": "1.5Gi",
                "pods": "10",
                "requests.cpu": "4000m",
                "requests.storage": "1Ti",
                "services.nodeports": 0,
            }
        },
    },
    "scopes": {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "scopes"},
        "spec": {
            "hard": {"pods": "10"},
            "scopeSelector": {
                "matchExpressions": [
                    {"operator": "In", "scopeName": "PriorityClass", "values": ["high"]}
                ]
            },
            "scopes": ["BestEffort", "NotTerminating"],
        },
    },
    "min": {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "min"}},
}

# base, field, value, the causes.
REFUSED = [
    (
        "rich",
        "/spec/hard/frobnicate",
        1,
        [
            'spec.hard[frobnicate]: Invalid value: "frobnicate": must be a standard resource '
            "type or fully qualified",
            'spec.hard[frobnicate]: Invalid value: "frobnicate": must be a standard resource '
            "for quota",
        ],
    ),
    (
        "rich",
        "/spec/hard/services.nodeports",
        -1,
        ['spec.hard[services.nodeports]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        "rich",
        "/spec/hard/services.nodeports",
        1.5,
        ['spec.hard[services.nodeports]: Invalid value: "1500m": must be an integer'],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/values/0",
        "<absent>",
        [
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one "
            "value when `operator` is 'In' or 'NotIn' for scope selector"
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0",
        {},
        [
            'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "": unsupported scope',
            'spec.scopeSelector.matchExpressions.operator: Invalid value: "": not a valid '
            "selector operator",
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/operator",
        "",
        [
            'spec.scopeSelector.matchExpressions.operator: Invalid value: "": not a valid '
            "selector operator"
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/operator",
        "Bad_Value!",
        [
            'spec.scopeSelector.matchExpressions.operator: Invalid value: "Bad_Value!": not a '
            "valid selector operator"
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/scopeName",
        "",
        ['spec.scopeSelector.matchExpressions.scopeName: Invalid value: "": unsupported scope'],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/scopeName",
        "Bad_Value!",
        [
            'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Bad_Value!": '
            "unsupported scope"
        ],
    ),
    (
        "scopes",
        "/spec/scopes/0",
        "",
        ['spec.scopes: Invalid value: ["","NotTerminating"]: unsupported scope'],
    ),
    (
        "scopes",
        "/spec/scopes/0",
        "Bad_Value!",
        ['spec.scopes: Invalid value: ["Bad_Value!","NotTerminating"]: unsupported scope'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rich", "/spec", "<absent>"),
    ("rich", "/spec/hard", "<absent>"),
    ("rich", "/spec/hard/count~1deployments.apps", "<absent>"),
    ("scopes", "/spec/scopeSelector", "<absent>"),
    ("scopes", "/spec/scopeSelector/matchExpressions", "<absent>"),
    ("scopes", "/spec/scopeSelector/matchExpressions/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/operator",
        "<absent>",
        [
            'spec.scopeSelector.matchExpressions.operator: Invalid value: "": not a valid '
            "selector operator"
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/scopeName",
        "<absent>",
        ['spec.scopeSelector.matchExpressions.scopeName: Invalid value: "": unsupported scope'],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/values",
        "<absent>",
        [
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one "
            "value when `operator` is 'In' or 'NotIn' for scope selector"
        ],
    ),
    (
        "scopes",
        "/spec/scopes",
        "<absent>",
        ["spec.scopes: Invalid value: null: field is immutable"],
    ),
    (
        "scopes",
        "/spec/scopes/0",
        "<absent>",
        ['spec.scopes: Invalid value: ["NotTerminating"]: field is immutable'],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/operator",
        "Inx",
        [
            'spec.scopeSelector.matchExpressions.operator: Invalid value: "Inx": not a valid '
            "selector operator"
        ],
    ),
    (
        "scopes",
        "/spec/scopeSelector/matchExpressions/0/scopeName",
        "PriorityClassx",
        [
            'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "PriorityClassx": '
            "unsupported scope"
        ],
    ),
    (
        "scopes",
        "/spec/scopes/0",
        "BestEffortx",
        [
            'spec.scopes: Invalid value: ["BestEffortx","NotTerminating"]: unsupported scope',
            'spec.scopes: Invalid value: ["BestEffortx","NotTerminating"]: field is immutable',
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec", "<absent>"),
    ("rich", "/spec/hard", "<absent>"),
    ("rich", "/spec/hard/count~1deployments.apps", "<absent>"),
    ("rich", "/spec/hard/gold.storageclass.storage.k8s.io~1requests.storage", "<absent>"),
    ("scopes", "/spec/scopeSelector", "<absent>"),
    ("scopes", "/spec/scopeSelector/matchExpressions", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "min"}},
        {"/spec": {}, "/status": {}},
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "rich"},
            "spec": {
                "hard": {
                    "count/deployments.apps": "2",
                    "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
                    "limits.memory": "1.5Gi",
                    "pods": "10",
                    "requests.cpu": "4000m",
                    "requests.storage": "1Ti",
                    "services.nodeports": 0,
                }
            },
        },
        {
            "/spec/hard/limits.memory": "1536Mi",
            "/spec/hard/requests.cpu": "4",
            "/spec/hard/services.nodeports": "0",
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "scopes"},
            "spec": {
                "hard": {"pods": "10"},
                "scopeSelector": {
                    "matchExpressions": [
                        {"operator": "In", "scopeName": "PriorityClass", "values": ["high"]}
                    ]
                },
                "scopes": ["BestEffort", "NotTerminating"],
            },
        },
        {"/status": {}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "tb"},
            "spec": {
                "hard": {
                    "count/deployments.apps": "2",
                    "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
                    "limits.memory": "1.5Gi",
                    "pods": "10",
                    "requests.cpu": "4000m",
                    "requests.storage": "1Ti",
                    "services.nodeports": 0,
                }
            },
        },
        {
            "hard": {"limits.memory": "1536Mi", "pods": "10", "requests.cpu": "4"},
            "used": {"limits.memory": "0", "pods": "3", "requests.cpu": "500m"},
        },
        ["tb", "pods: 3/10, requests.cpu: 500m/4", "limits.memory: 0/1536Mi", "5s"],
    ),
    (
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "min"}},
        None,
        ["min", "", "", "5s"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "rich"},
            "spec": {
                "hard": {
                    "count/deployments.apps": "2",
                    "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
                    "limits.memory": "1.5Gi",
                    "pods": "10",
                    "requests.cpu": "4000m",
                    "requests.storage": "1Ti",
                    "services.nodeports": 0,
                }
            },
        },
        None,
        ["rich", "", "", "5s"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "scopes"},
            "spec": {
                "hard": {"pods": "10"},
                "scopeSelector": {
                    "matchExpressions": [
                        {"operator": "In", "scopeName": "PriorityClass", "values": ["high"]}
                    ]
                },
                "scopes": ["BestEffort", "NotTerminating"],
            },
        },
        None,
        ["scopes", "", "", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
