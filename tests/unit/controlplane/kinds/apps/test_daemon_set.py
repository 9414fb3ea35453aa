"""What the API server says to daemonsets; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.apps.daemon_set import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "min"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
    },
    "ondelete": {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "ondelete"},
        "spec": {
            "minReadySeconds": 1,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
            "updateStrategy": {"type": "OnDelete"},
        },
    },
    "surge": {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "surge"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
            "updateStrategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/selector",
        "<absent>",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`"
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "<absent>",
        ["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"],
    ),
    (
        "min",
        "/spec/template/metadata/labels",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match "
            "template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers/0",
        "<absent>",
        ["spec.template.spec.containers: Required value"],
    ),
    (
        "min",
        "/spec",
        {},
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "Bad_Value!",
        [
            'spec.selector.matchLabels: Invalid value: "Bad_Value!": a valid label must be an '
            "empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "",
        [
            'spec.template.metadata.labels: Invalid value: {"app":""}: `selector` does not '
            "match template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "Bad_Value!",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"Bad_Value!"}: `selector` '
            "does not match template `labels`",
            'spec.template.labels: Invalid value: "Bad_Value!": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers",
        [{"image": "nginx", "name": "c"}, {"image": "nginx", "name": "c"}],
        ['spec.template.spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        "min",
        "/spec/template/spec/containers/0",
        {},
        [
            "spec.template.spec.containers[0].name: Required value",
            "spec.template.spec.containers[0].image: Required value",
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/image",
        "",
        ["spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "",
        ["spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "Bad_Value!",
        [
            'spec.template.spec.containers[0].name: Invalid value: "Bad_Value!": a lowercase '
            "RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "ondelete",
        "/spec/minReadySeconds",
        -1,
        ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "ondelete",
        "/spec/revisionHistoryLimit",
        -1,
        ["spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "ondelete",
        "/spec/updateStrategy/type",
        "Bad_Value!",
        [
            "spec.updateStrategy: Unsupported value: "
            '{"Type":"Bad_Value!","RollingUpdate":null}: supported values: "RollingUpdate", '
            '"OnDelete"'
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxSurge",
        "<absent>",
        [
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
            "maxSurge is 0"
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxSurge",
        "",
        [
            'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "": a valid percent '
            "string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
            "regex used for validation is '[0-9]+%')",
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
            "maxSurge is 0",
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxSurge",
        "Bad_Value!",
        [
            'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "Bad_Value!": a valid '
            "percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
            "'93%', regex used for validation is '[0-9]+%')",
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
            "maxSurge is 0",
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable",
        "abc",
        [
            'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "abc": a valid '
            "percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
            "'93%', regex used for validation is '[0-9]+%')"
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable",
        -1,
        [
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: -1: must be "
            "greater than or equal to 0",
            'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set '
            "when maxUnavailable is non-zero",
        ],
    ),
    (
        "surge",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable",
        70000,
        [
            'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set '
            "when maxUnavailable is non-zero"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec/template/spec/containers/0/image", "Bad_Value!"),
    ("ondelete", "/spec/minReadySeconds", "<absent>"),
    ("ondelete", "/spec/revisionHistoryLimit", "<absent>"),
    ("ondelete", "/spec/updateStrategy", "<absent>"),
    ("surge", "/spec/updateStrategy/rollingUpdate", "<absent>"),
    ("surge", "/spec/updateStrategy/rollingUpdate", {}),
    ("surge", "/spec/updateStrategy/rollingUpdate/maxSurge", 7),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/spec",
        "<absent>",
        [
            "spec.selector: Invalid value: null: field is immutable",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
        ],
    ),
    (
        "min",
        "/spec/selector",
        "<absent>",
        [
            "spec.selector: Invalid value: null: field is immutable",
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`",
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels",
        "<absent>",
        [
            "spec.selector: Invalid value: {}: field is immutable",
            "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
        ],
    ),
    (
        "min",
        "/spec/template",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
        ],
    ),
    (
        "min",
        "/spec/template/metadata",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match "
            "template `labels`"
        ],
    ),
    ("min", "/spec/template/spec", "<absent>", ["spec.template.spec.containers: Required value"]),
    (
        "min",
        "/spec/template/spec/containers/0/image",
        "<absent>",
        ["spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "<absent>",
        ["spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "ax",
        [
            'spec.selector: Invalid value: {"matchLabels":{"app":"ax"}}: field is immutable',
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`",
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "ax",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"ax"}: `selector` does not '
            "match template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/imagePullPolicy",
        "Alwaysx",
        [
            'spec.template.spec.containers[0].imagePullPolicy: Unsupported value: "Alwaysx": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        "min",
        "/spec/updateStrategy/rollingUpdate/maxSurge",
        1,
        [
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when "
            "maxUnavailable is non-zero"
        ],
    ),
    (
        "min",
        "/spec/updateStrategy/type",
        "RollingUpdatex",
        [
            "spec.updateStrategy: Unsupported value: "
            '{"Type":"RollingUpdatex","RollingUpdate":{"MaxUnavailable":1,"MaxSurge":0}}: '
            'supported values: "RollingUpdate", "OnDelete"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/revisionHistoryLimit", "<absent>"),
    ("min", "/spec/template/spec/containers/0/imagePullPolicy", "<absent>"),
    ("min", "/spec/template/spec/containers/0/resources", "<absent>"),
    ("ondelete", "/spec/minReadySeconds", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "min"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/restartPolicy": "Always",
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/spec/updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
            },
            "/spec/revisionHistoryLimit": 10,
            "/status": {
                "currentNumberScheduled": 0,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": 0,
                "numberReady": 0,
            },
        },
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "ondelete"},
            "spec": {
                "minReadySeconds": 1,
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"type": "OnDelete"},
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/restartPolicy": "Always",
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/status": {
                "currentNumberScheduled": 0,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": 0,
                "numberReady": 0,
            },
        },
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "surge"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/restartPolicy": "Always",
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/spec/updateStrategy/type": "RollingUpdate",
            "/spec/revisionHistoryLimit": 10,
            "/status": {
                "currentNumberScheduled": 0,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": 0,
                "numberReady": 0,
            },
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "min"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        None,
        ["min", 0, 0, 0, 0, 0, "<none>", "5s", "c", "nginx", "app=a"],
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "ondelete"},
            "spec": {
                "minReadySeconds": 1,
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"type": "OnDelete"},
            },
        },
        None,
        ["ondelete", 0, 0, 0, 0, 0, "<none>", "5s", "c", "nginx", "app=a"],
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "surge"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
            },
        },
        None,
        ["surge", 0, 0, 0, 0, 0, "<none>", "5s", "c", "nginx", "app=a"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
