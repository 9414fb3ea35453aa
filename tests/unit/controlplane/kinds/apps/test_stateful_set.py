"""What the API server says to statefulsets; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.apps.stateful_set import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "min"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
    },
    "ondelete": {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "ondelete"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "serviceName": "s",
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
            "updateStrategy": {"type": "OnDelete"},
        },
    },
    "rich": {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "rich"},
        "spec": {
            "minReadySeconds": 2,
            "ordinals": {"start": 5},
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
            "podManagementPolicy": "Parallel",
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "serviceName": "s",
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "20%", "partition": 2}},
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ],
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
            "spec.selector: Required value",
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`",
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "<absent>",
        ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
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
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
        ],
    ),
    (
        "min",
        "/spec/replicas",
        -1,
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`"
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
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            'spec.selector: Invalid value: {"matchLabels":{"app":"Bad_Value!"}}',
        ],
    ),
    (
        "min",
        "/spec/template",
        {},
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
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
        "/spec/updateStrategy/type",
        "Bad_Value!",
        [
            'spec.updateStrategy: Invalid value: {"Type":"Bad_Value!","RollingUpdate":null}: '
            "must be 'RollingUpdate' or 'OnDelete'"
        ],
    ),
    (
        "rich",
        "/spec/volumeClaimTemplates/0/spec/accessModes/0",
        "<absent>",
        [
            "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access "
            "mode is required"
        ],
    ),
    (
        "rich",
        "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
        "<absent>",
        ["spec.volumeClaimTemplates[0].spec.resources[storage]: Required value"],
    ),
    (
        "rich",
        "/spec/minReadySeconds",
        -1,
        ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "rich",
        "/spec/ordinals/start",
        -1,
        ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "rich",
        "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
        "Bad_Value!",
        [
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "
            '"Bad_Value!": supported values: "Retain", "Delete"'
        ],
    ),
    (
        "rich",
        "/spec/podManagementPolicy",
        "Bad_Value!",
        [
            "spec.podManagementPolicy: Invalid value: \"Bad_Value!\": must be 'OrderedReady' or "
            "'Parallel'"
        ],
    ),
    (
        "rich",
        "/spec/serviceName",
        "Bad_Value!",
        [
            'spec.serviceName: Invalid value: "Bad_Value!": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/updateStrategy/rollingUpdate/partition",
        -1,
        [
            "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater "
            "than or equal to 0"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec/replicas", "<absent>"),
    ("min", "/spec/replicas", 0),
    ("min", "/spec/replicas", 70000),
    ("ondelete", "/spec/updateStrategy/type", "<absent>"),
    ("ondelete", "/spec/updateStrategy/type", ""),
    ("rich", "/spec/minReadySeconds", "<absent>"),
    ("rich", "/spec/ordinals", "<absent>"),
    ("rich", "/spec/ordinals/start", "<absent>"),
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
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`",
            "spec.template.spec.containers: Required value",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    ),
    (
        "min",
        "/spec/selector",
        "<absent>",
        [
            "spec.selector: Required value",
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels",
        "<absent>",
        [
            "spec.selector: Invalid value: {}: empty selector is invalid for statefulset",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
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
        "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
        "Retainx",
        [
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "
            '"Retainx": supported values: "Retain", "Delete"'
        ],
    ),
    (
        "min",
        "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
        "Retainx",
        [
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "
            '"Retainx": supported values: "Retain", "Delete"'
        ],
    ),
    (
        "min",
        "/spec/podManagementPolicy",
        "OrderedReadyx",
        [
            "spec.podManagementPolicy: Invalid value: \"OrderedReadyx\": must be 'OrderedReady' "
            "or 'Parallel'",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    ),
    (
        "min",
        "/spec/selector/matchLabels/app",
        "ax",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    ),
    (
        "min",
        "/spec/serviceName",
        "x",
        [
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
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
        "/spec/updateStrategy/type",
        "RollingUpdatex",
        [
            "spec.updateStrategy: Invalid value: "
            '{"Type":"RollingUpdatex","RollingUpdate":{"Partition":0,"MaxUnavailable":null}}: '
            "must be 'RollingUpdate' or 'OnDelete'"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/persistentVolumeClaimRetentionPolicy", "<absent>"),
    ("min", "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "<absent>"),
    ("min", "/spec/persistentVolumeClaimRetentionPolicy/whenScaled", "<absent>"),
    ("rich", "/spec/minReadySeconds", "<absent>"),
    ("rich", "/spec/ordinals", "<absent>"),
    ("rich", "/spec/ordinals/start", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "ondelete"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "serviceName": "s",
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
            "/spec/podManagementPolicy": "OrderedReady",
            "/spec/persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            },
            "/spec/revisionHistoryLimit": 10,
            "/status": {"replicas": 0, "availableReplicas": 0},
        },
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "rich"},
            "spec": {
                "minReadySeconds": 2,
                "ordinals": {"start": 5},
                "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
                "podManagementPolicy": "Parallel",
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "serviceName": "s",
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"rollingUpdate": {"maxUnavailable": "20%", "partition": 2}},
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            },
        },
        {
            "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted": "Retain",
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
            "/spec/volumeClaimTemplates/0/spec/volumeMode": "Filesystem",
            "/spec/volumeClaimTemplates/0/apiVersion": "v1",
            "/spec/volumeClaimTemplates/0/kind": "PersistentVolumeClaim",
            "/spec/volumeClaimTemplates/0/status": {"phase": "Pending"},
            "/spec/revisionHistoryLimit": 10,
            "/status": {"replicas": 0, "availableReplicas": 0},
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
            "kind": "StatefulSet",
            "metadata": {"name": "tb"},
            "spec": {
                "minReadySeconds": 2,
                "ordinals": {"start": 5},
                "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
                "podManagementPolicy": "Parallel",
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "serviceName": "s",
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"rollingUpdate": {"maxUnavailable": "20%", "partition": 2}},
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            },
        },
        {"readyReplicas": 0, "replicas": 0},
        ["tb", "0/0", "5s", "c", "nginx"],
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "min"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        None,
        ["min", "0/0", "5s", "c", "nginx"],
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "ondelete"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "serviceName": "s",
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"type": "OnDelete"},
            },
        },
        None,
        ["ondelete", "0/0", "5s", "c", "nginx"],
    ),
    (
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "rich"},
            "spec": {
                "minReadySeconds": 2,
                "ordinals": {"start": 5},
                "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
                "podManagementPolicy": "Parallel",
                "replicas": 0,
                "selector": {"matchLabels": {"app": "a"}},
                "serviceName": "s",
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
                "updateStrategy": {"rollingUpdate": {"maxUnavailable": "20%", "partition": 2}},
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            },
        },
        None,
        ["rich", "0/0", "5s", "c", "nginx"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
