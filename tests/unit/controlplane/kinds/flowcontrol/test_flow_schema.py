"""What the API server says to flowschemas; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.flowcontrol.flow_schema import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": "gold-min"},
        "spec": {"priorityLevelConfiguration": {"name": "workload-low"}},
    },
    "gold-rich": {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": "gold-rich"},
        "spec": {
            "distinguisherMethod": {"type": "ByUser"},
            "matchingPrecedence": 9000,
            "priorityLevelConfiguration": {"name": "workload-low"},
            "rules": [
                {
                    "nonResourceRules": [{"nonResourceURLs": ["/x"], "verbs": ["*"]}],
                    "resourceRules": [
                        {
                            "apiGroups": ["*"],
                            "namespaces": ["*"],
                            "resources": ["pods"],
                            "verbs": ["get"],
                        }
                    ],
                    "subjects": [
                        {"kind": "User", "user": {"name": "nobody-x"}},
                        {
                            "kind": "ServiceAccount",
                            "serviceAccount": {"name": "*", "namespace": "nx"},
                        },
                    ],
                }
            ],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-min",
        "/spec",
        {},
        ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
    ),
    (
        "gold-min",
        "/spec/priorityLevelConfiguration/name",
        "Bad_Value!",
        [
            'spec.priorityLevelConfiguration.name: Invalid value: "Bad_Value!": a lowercase RFC '
            "1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'example.com', regex used "
            "for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/nonResourceURLs/0",
        "<absent>",
        [
            "spec.rules[0].nonResourceRules[0].nonResourceURLs: Required value: nonResourceURLs "
            "must contain at least one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs/0",
        "<absent>",
        [
            "spec.rules[0].nonResourceRules[0].verbs: Required value: verbs must contain at "
            "least one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/apiGroups/0",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must "
            "supply at least one api group"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/namespaces/0",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are "
            "not cluster scoped must supply at least one namespace"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/resources/0",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].resources: Required value: resource rules must "
            "supply at least one resource"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/verbs/0",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least "
            "one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/0/user",
        "<absent>",
        [
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind "
            "is 'User'"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/1/serviceAccount",
        "<absent>",
        [
            "spec.rules[0].subjects[1].serviceAccount: Required value: serviceAccount is "
            "required when subject kind is 'ServiceAccount'"
        ],
    ),
    (
        "gold-rich",
        "/spec/distinguisherMethod",
        {},
        [
            'spec.distinguisherMethod.type: Unsupported value: {"Type":""}: supported values: '
            '"ByNamespace", "ByUser"'
        ],
    ),
    (
        "gold-rich",
        "/spec/distinguisherMethod/type",
        "Bad_Value!",
        [
            'spec.distinguisherMethod.type: Unsupported value: {"Type":"Bad_Value!"}: supported '
            'values: "ByNamespace", "ByUser"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchingPrecedence",
        -1,
        ["spec.matchingPrecedence: Invalid value: -1: must be a positive value"],
    ),
    (
        "gold-rich",
        "/spec/matchingPrecedence",
        70000,
        ["spec.matchingPrecedence: Invalid value: 70000: must not be greater than 10000"],
    ),
    (
        "gold-rich",
        "/spec/rules/0",
        {},
        [
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules "
            "has to be non-empty",
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0",
        {},
        [
            "spec.rules[0].nonResourceRules[0].verbs: Required value: verbs must contain at "
            "least one value",
            "spec.rules[0].nonResourceRules[0].nonResourceURLs: Required value: nonResourceURLs "
            "must contain at least one value",
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/nonResourceURLs/0",
        "",
        [
            'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "": must not '
            "be empty"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/nonResourceURLs/0",
        "Bad_Value!",
        [
            'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "Bad_Value!": '
            "must start with slash"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs",
        ["*", "*"],
        [
            'spec.rules[0].nonResourceRules[0].verbs: Invalid value: ["*","*"]: if \'*\' is '
            "present, must not specify other verbs"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs/0",
        "",
        [
            'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: [""]: supported '
            'values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", '
            '"update", "watch"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs/0",
        "Bad_Value!",
        [
            'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["Bad_Value!"]: '
            'supported values: "create", "delete", "deletecollection", "get", "list", "patch", '
            '"proxy", "update", "watch"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0",
        {},
        [
            "spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least "
            "one value",
            "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must "
            "supply at least one api group",
            "spec.rules[0].resourceRules[0].resources: Required value: resource rules must "
            "supply at least one resource",
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are "
            "not cluster scoped must supply at least one namespace",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-rich", "/spec/distinguisherMethod", "<absent>"),
    ("gold-rich", "/spec/matchingPrecedence", "<absent>"),
    ("gold-rich", "/spec/rules", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-min",
        "/spec",
        "<absent>",
        ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
    ),
    (
        "gold-rich",
        "/spec/distinguisherMethod/type",
        "<absent>",
        [
            'spec.distinguisherMethod.type: Unsupported value: {"Type":""}: supported values: '
            '"ByNamespace", "ByUser"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/nonResourceURLs",
        "<absent>",
        [
            "spec.rules[0].nonResourceRules[0].nonResourceURLs: Required value: nonResourceURLs "
            "must contain at least one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs",
        "<absent>",
        [
            "spec.rules[0].nonResourceRules[0].verbs: Required value: verbs must contain at "
            "least one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/apiGroups",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must "
            "supply at least one api group"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/namespaces",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are "
            "not cluster scoped must supply at least one namespace"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/resources",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].resources: Required value: resource rules must "
            "supply at least one resource"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/verbs",
        "<absent>",
        [
            "spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least "
            "one value"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects",
        "<absent>",
        ["spec.rules[0].subjects: Required value: subjects must contain at least one value"],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/0/kind",
        "<absent>",
        [
            'spec.rules[0].subjects[0].kind: Unsupported value: "": supported values: "Group", '
            '"ServiceAccount", "User"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/0/user",
        "<absent>",
        [
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind "
            "is 'User'"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/0/user/name",
        "<absent>",
        ["spec.rules[0].subjects[0].user.name: Required value"],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/1/serviceAccount",
        "<absent>",
        [
            "spec.rules[0].subjects[1].serviceAccount: Required value: serviceAccount is "
            "required when subject kind is 'ServiceAccount'"
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/1/serviceAccount/name",
        "<absent>",
        ["spec.rules[0].subjects[1].serviceAccount.name: Required value"],
    ),
    (
        "gold-rich",
        "/spec/rules/0/subjects/1/serviceAccount/namespace",
        "<absent>",
        [
            "spec.rules[0].subjects[1].serviceAccount.namespace: Required value: must specify "
            "namespace for service account"
        ],
    ),
    (
        "gold-rich",
        "/spec/distinguisherMethod/type",
        "ByUserx",
        [
            'spec.distinguisherMethod.type: Unsupported value: {"Type":"ByUserx"}: supported '
            'values: "ByNamespace", "ByUser"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/nonResourceRules/0/verbs/0",
        "*x",
        [
            'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["*x"]: supported '
            'values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", '
            '"update", "watch"'
        ],
    ),
    (
        "gold-rich",
        "/spec/rules/0/resourceRules/0/namespaces/0",
        "*x",
        [
            'spec.rules[0].resourceRules[0].namespaces[0]: Invalid value: "*x": each member of '
            "this list must be '*' or a DNS-1123 label; a lowercase RFC 1123 label must consist "
            "of lower case alphanumeric characters or '-', and must start and end with an "
            "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/spec/matchingPrecedence", "<absent>"),
    ("gold-rich", "/spec/distinguisherMethod", "<absent>"),
    ("gold-rich", "/spec/rules", "<absent>"),
    ("gold-rich", "/spec/rules/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": "gold-min"},
            "spec": {"priorityLevelConfiguration": {"name": "workload-low"}},
        },
        {"/spec/matchingPrecedence": 1000, "/status": {}},
    ),
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": "gold-rich"},
            "spec": {
                "distinguisherMethod": {"type": "ByUser"},
                "matchingPrecedence": 9000,
                "priorityLevelConfiguration": {"name": "workload-low"},
                "rules": [
                    {
                        "nonResourceRules": [{"nonResourceURLs": ["/x"], "verbs": ["*"]}],
                        "resourceRules": [
                            {
                                "apiGroups": ["*"],
                                "namespaces": ["*"],
                                "resources": ["pods"],
                                "verbs": ["get"],
                            }
                        ],
                        "subjects": [
                            {"kind": "User", "user": {"name": "nobody-x"}},
                            {
                                "kind": "ServiceAccount",
                                "serviceAccount": {"name": "*", "namespace": "nx"},
                            },
                        ],
                    }
                ],
            },
        },
        {"/status": {}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
