"""What the API server says to jobs; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.batch.job.kind import KIND

ABSENT = "<absent>"

BASES = {
    "both": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "both"},
        "spec": {
            "activeDeadlineSeconds": 10,
            "backoffLimit": 0,
            "completions": 5,
            "parallelism": 2,
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
            "ttlSecondsAfterFinished": 0,
        },
    },
    "completions": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "completions"},
        "spec": {
            "completions": 5,
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
    "failpolicy": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "failpolicy"},
        "spec": {
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "c", "operator": "In", "values": [1, 42]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                    {"action": "Count", "onPodConditions": [{"status": "False", "type": "X"}]},
                ]
            },
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
    "indexed": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "indexed"},
        "spec": {
            "completionMode": "Indexed",
            "completions": 3,
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
    "indexed-backoff": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "indexed-backoff"},
        "spec": {
            "backoffLimitPerIndex": 1,
            "completionMode": "Indexed",
            "completions": 3,
            "maxFailedIndexes": 2,
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
    "manual": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "manual"},
        "spec": {
            "manualSelector": True,
            "selector": {"matchLabels": {"q": "w"}},
            "suspend": True,
            "template": {
                "metadata": {"labels": {"q": "w"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"},
            },
        },
    },
    "min": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "min"},
        "spec": {
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            }
        },
    },
    "replacement": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "replacement"},
        "spec": {
            "managedBy": "example.com/x",
            "podReplacementPolicy": "Failed",
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
    "success": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "success"},
        "spec": {
            "completionMode": "Indexed",
            "completions": 3,
            "successPolicy": {"rules": [{"succeededCount": 1, "succeededIndexes": "0-1"}]},
            "suspend": True,
            "template": {
                "spec": {"containers": [{"image": "nginx", "name": "c"}], "restartPolicy": "Never"}
            },
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "both",
        "/spec/activeDeadlineSeconds",
        -1,
        ["spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "both",
        "/spec/backoffLimit",
        -1,
        ["spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "both",
        "/spec/ttlSecondsAfterFinished",
        -1,
        ["spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "completions",
        "/spec/completions",
        -1,
        ["spec.completions: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes",
        "<absent>",
        [
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and "
            "OnPodConditions is required"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/values",
        "<absent>",
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: null: at least "
            "one value is required"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0",
        {},
        [
            'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" '
            '"FailIndex" "FailJob" "Ignore"]',
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and "
            "OnPodConditions is required",
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/action",
        "",
        [
            'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" '
            '"FailIndex" "FailJob" "Ignore"]'
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/action",
        "Bad_Value!",
        [
            'spec.podFailurePolicy.rules[0].action: Unsupported value: "Bad_Value!": supported '
            'values: "Count", "FailIndex", "FailJob", "Ignore"'
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes",
        {},
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: "
            '["In" "NotIn"]',
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: null: at least "
            "one value is required",
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/containerName",
        "",
        [
            'spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "": must '
            "be one of the container or initContainer names in the pod template"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/operator",
        "",
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: "
            '["In" "NotIn"]'
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/operator",
        "Bad_Value!",
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: "
            '"Bad_Value!": supported values: "In", "NotIn"'
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/values",
        [1, 42, 1],
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 1",
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [1,42,1]: must "
            "be ordered",
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/values",
        [],
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one "
            "value is required"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/values/0",
        0,
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not "
            "be 0 for the In operator"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/0/onExitCodes/values/0",
        70000,
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [70000,42]: must "
            "be ordered"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/1/onPodConditions/0",
        {},
        [
            'spec.podFailurePolicy.rules[1].onPodConditions[0].type: Invalid value: "": name '
            "part must be non-empty",
            'spec.podFailurePolicy.rules[1].onPodConditions[0].type: Invalid value: "": name '
            "part must consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
            "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/1/onPodConditions/0/type",
        "Bad_Value!",
        [
            "spec.podFailurePolicy.rules[1].onPodConditions[0].type: Invalid value: "
            "\"Bad_Value!\": name part must consist of alphanumeric characters, '-', '_' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
            "'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules/2/onPodConditions/0/status",
        "Bad_Value!",
        [
            "spec.podFailurePolicy.rules[2].onPodConditions[0].status: Unsupported value: "
            '"Bad_Value!": supported values: "False", "True", "Unknown"'
        ],
    ),
    (
        "indexed",
        "/spec/completionMode",
        "",
        ['spec.completionMode: Unsupported value: "": supported values: "NonIndexed", "Indexed"'],
    ),
    (
        "indexed",
        "/spec/completionMode",
        "Bad_Value!",
        [
            'spec.completionMode: Unsupported value: "Bad_Value!": supported values: '
            '"NonIndexed", "Indexed"'
        ],
    ),
    (
        "indexed-backoff",
        "/spec/backoffLimitPerIndex",
        "<absent>",
        ["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"],
    ),
    (
        "indexed-backoff",
        "/spec/backoffLimitPerIndex",
        -1,
        ["spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "indexed-backoff",
        "/spec/maxFailedIndexes",
        -1,
        ["spec.maxFailedIndexes: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "indexed-backoff",
        "/spec/maxFailedIndexes",
        70000,
        ["spec.maxFailedIndexes: Invalid value: 70000: must be less than or equal to completions"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("both", "/spec/activeDeadlineSeconds", "<absent>"),
    ("both", "/spec/backoffLimit", "<absent>"),
    ("both", "/spec/ttlSecondsAfterFinished", "<absent>"),
    ("completions", "/spec/completions", "<absent>"),
    ("completions", "/spec/completions", 0),
    ("completions", "/spec/completions", 70000),
    ("failpolicy", "/spec/podFailurePolicy", "<absent>"),
    ("failpolicy", "/spec/podFailurePolicy/rules", "<absent>"),
    ("failpolicy", "/spec/podFailurePolicy/rules/0", "<absent>"),
    ("indexed", "/spec/completionMode", "<absent>"),
    ("indexed-backoff", "/spec/maxFailedIndexes", "<absent>"),
    ("indexed-backoff", "/spec/backoffLimitPerIndex", 0),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "failpolicy",
        "/spec/podFailurePolicy",
        "<absent>",
        ["spec.podFailurePolicy: Invalid value: null: field is immutable"],
    ),
    (
        "failpolicy",
        "/spec/podFailurePolicy/rules",
        "<absent>",
        ['spec.podFailurePolicy: Invalid value: {"Rules":null}: field is immutable'],
    ),
    (
        "indexed-backoff",
        "/spec/backoffLimitPerIndex",
        "<absent>",
        [
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.backoffLimitPerIndex: Invalid value: null: field is immutable",
        ],
    ),
    (
        "indexed-backoff",
        "/spec/backoffLimitPerIndex",
        2,
        ["spec.backoffLimitPerIndex: Invalid value: 2: field is immutable"],
    ),
    (
        "manual",
        "/spec/selector/matchLabels/q",
        "<absent>",
        ["spec.selector: Invalid value: {}: field is immutable"],
    ),
    (
        "manual",
        "/spec/template/metadata/labels/q",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match "
            "template `labels`",
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match "
            "template `labels`",
        ],
    ),
    (
        "manual",
        "/spec/selector/matchLabels/q",
        "wx",
        [
            'spec.template.metadata.labels: Invalid value: {"q":"w"}: `selector` does not match '
            "template `labels`",
            'spec.template.metadata.labels: Invalid value: {"q":"w"}: `selector` does not match '
            "template `labels`",
            'spec.selector: Invalid value: {"matchLabels":{"q":"wx"}}: field is immutable',
        ],
    ),
    (
        "manual",
        "/spec/template/metadata/labels/q",
        "wx",
        [
            'spec.template.metadata.labels: Invalid value: {"q":"wx"}: `selector` does not '
            "match template `labels`",
            'spec.template.metadata.labels: Invalid value: {"q":"wx"}: `selector` does not '
            "match template `labels`",
        ],
    ),
    (
        "min",
        "/spec/completions",
        "<absent>",
        ["spec.completions: Invalid value: null: field is immutable"],
    ),
    (
        "min",
        "/spec/completionMode",
        "NonIndexedx",
        [
            'spec.completionMode: Unsupported value: "NonIndexedx": supported values: '
            '"NonIndexed", "Indexed"',
            'spec.completionMode: Unsupported value: "NonIndexedx": supported values: '
            '"NonIndexed", "Indexed"',
            'spec.completionMode: Invalid value: "NonIndexedx": field is immutable',
        ],
    ),
    ("min", "/spec/completions", 2, ["spec.completions: Invalid value: 2: field is immutable"]),
    (
        "min",
        "/spec/podReplacementPolicy",
        "TerminatingOrFailedx",
        [
            'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailedx": supported '
            'values: "Failed", "TerminatingOrFailed"',
            'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailedx": supported '
            'values: "Failed", "TerminatingOrFailed"',
        ],
    ),
    (
        "replacement",
        "/spec/managedBy",
        "<absent>",
        ["spec.managedBy: Invalid value: null: field is immutable"],
    ),
    (
        "replacement",
        "/spec/managedBy",
        "example.com/xx",
        ['spec.managedBy: Invalid value: "example.com/xx": field is immutable'],
    ),
    (
        "success",
        "/spec/successPolicy",
        "<absent>",
        ["spec.successPolicy: Invalid value: null: field is immutable"],
    ),
    (
        "success",
        "/spec/successPolicy/rules",
        "<absent>",
        [
            "spec.successPolicy.rules: Required value: at least one rules must be specified "
            "when the successPolicy is specified",
            "spec.successPolicy.rules: Required value: at least one rules must be specified "
            "when the successPolicy is specified",
            'spec.successPolicy: Invalid value: {"Rules":null}: field is immutable',
        ],
    ),
    (
        "success",
        "/spec/successPolicy/rules/0",
        "<absent>",
        [
            "spec.successPolicy.rules: Required value: at least one rules must be specified "
            "when the successPolicy is specified",
            "spec.successPolicy.rules: Required value: at least one rules must be specified "
            "when the successPolicy is specified",
            'spec.successPolicy: Invalid value: {"Rules":[]}: field is immutable',
        ],
    ),
    (
        "success",
        "/spec/successPolicy/rules/0/succeededCount",
        "<absent>",
        [
            "spec.successPolicy: Invalid value: "
            '{"Rules":[{"SucceededIndexes":"0-1","SucceededCount":null}]}: field is immutable'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("both", "/spec/activeDeadlineSeconds", "<absent>"),
    ("both", "/spec/ttlSecondsAfterFinished", "<absent>"),
    ("failpolicy", "/spec/podFailurePolicy/rules/1/onPodConditions/0/status", "<absent>"),
    ("indexed-backoff", "/spec/maxFailedIndexes", "<absent>"),
    ("min", "/spec/backoffLimit", "<absent>"),
    ("min", "/spec/completionMode", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "manual"},
            "spec": {
                "manualSelector": True,
                "selector": {"matchLabels": {"q": "w"}},
                "suspend": True,
                "template": {
                    "metadata": {"labels": {"q": "w"}},
                    "spec": {
                        "containers": [{"image": "nginx", "name": "c"}],
                        "restartPolicy": "Never",
                    },
                },
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/spec/completions": 1,
            "/spec/parallelism": 1,
            "/spec/backoffLimit": 6,
            "/spec/completionMode": "NonIndexed",
            "/spec/podReplacementPolicy": "TerminatingOrFailed",
            "/status": {},
        },
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
