"""What the API server says to apiservices; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.apiregistration.api_service import KIND

ABSENT = "<absent>"

BASES = {
    "local": {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.gold2.example.com"},
        "spec": {
            "group": "gold2.example.com",
            "groupPriorityMinimum": 1000,
            "insecureSkipTLSVerify": True,
            "service": {"name": "nosvc", "namespace": "gold"},
            "version": "v1",
            "versionPriority": 15,
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "local",
        "/spec/service",
        "<absent>",
        [
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have "
            "insecureSkipTLSVerify"
        ],
    ),
    (
        "local",
        "/spec",
        {},
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "."',
            "spec.group: Required value: only v1 may have an empty group and it better be "
            "legacy kube",
            'spec.version: Invalid value: "": a DNS-1035 label must consist of lower case '
            "alphanumeric characters or '-', start with an alphabetic character, and end with "
            "an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        ],
    ),
    (
        "local",
        "/spec/group",
        "",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "v1."'
        ],
    ),
    (
        "local",
        "/spec/group",
        "Bad_Value!",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "v1.Bad_Value!"',
            'spec.group: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "local",
        "/spec/groupPriorityMinimum",
        -1,
        ["spec.groupPriorityMinimum: Invalid value: -1: must be positive and less than 20000"],
    ),
    (
        "local",
        "/spec/groupPriorityMinimum",
        0,
        ["spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000"],
    ),
    (
        "local",
        "/spec/groupPriorityMinimum",
        70000,
        ["spec.groupPriorityMinimum: Invalid value: 70000: must be positive and less than 20000"],
    ),
    (
        "local",
        "/spec/service",
        {},
        ["spec.service.namespace: Required value", "spec.service.name: Required value"],
    ),
    ("local", "/spec/service/name", "", ["spec.service.name: Required value"]),
    ("local", "/spec/service/namespace", "", ["spec.service.namespace: Required value"]),
    (
        "local",
        "/spec/version",
        "",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: ".gold2.example.com"',
            'spec.version: Invalid value: "": a DNS-1035 label must consist of lower case '
            "alphanumeric characters or '-', start with an alphabetic character, and end with "
            "an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ],
    ),
    (
        "local",
        "/spec/version",
        "Bad_Value!",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "Bad_Value!.gold2.example.com"',
            'spec.version: Invalid value: "Bad_Value!": a DNS-1035 label must consist of lower '
            "case alphanumeric characters or '-', start with an alphabetic character, and end "
            "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ],
    ),
    (
        "local",
        "/spec/versionPriority",
        -1,
        ["spec.versionPriority: Invalid value: -1: must be positive and less than 1000"],
    ),
    (
        "local",
        "/spec/versionPriority",
        0,
        ["spec.versionPriority: Invalid value: 0: must be positive and less than 1000"],
    ),
    (
        "local",
        "/spec/versionPriority",
        70000,
        ["spec.versionPriority: Invalid value: 70000: must be positive and less than 1000"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("local", "/spec/insecureSkipTLSVerify", "<absent>"),
    ("local", "/spec/service/name", "Bad_Value!"),
    ("local", "/spec/service/namespace", "Bad_Value!"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "local",
        "/spec",
        "<absent>",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "."',
            "spec.group: Required value: only v1 may have an empty group and it better be "
            "legacy kube",
            'spec.version: Invalid value: "": a DNS-1035 label must consist of lower case '
            "alphanumeric characters or '-', start with an alphabetic character, and end with "
            "an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        ],
    ),
    (
        "local",
        "/spec/group",
        "<absent>",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: "v1."'
        ],
    ),
    (
        "local",
        "/spec/groupPriorityMinimum",
        "<absent>",
        ["spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000"],
    ),
    (
        "local",
        "/spec/service",
        "<absent>",
        [
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have "
            "insecureSkipTLSVerify"
        ],
    ),
    ("local", "/spec/service/name", "<absent>", ["spec.service.name: Required value"]),
    ("local", "/spec/service/namespace", "<absent>", ["spec.service.namespace: Required value"]),
    (
        "local",
        "/spec/version",
        "<absent>",
        [
            'metadata.name: Invalid value: "v1.gold2.example.com": must be '
            '`spec.version+"."+spec.group`: ".gold2.example.com"',
            'spec.version: Invalid value: "": a DNS-1035 label must consist of lower case '
            "alphanumeric characters or '-', start with an alphabetic character, and end with "
            "an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ],
    ),
    (
        "local",
        "/spec/versionPriority",
        "<absent>",
        ["spec.versionPriority: Invalid value: 0: must be positive and less than 1000"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("local", "/spec/insecureSkipTLSVerify", "<absent>"),
    ("local", "/spec/service/port", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1.gold2.example.com"},
            "spec": {
                "group": "gold2.example.com",
                "groupPriorityMinimum": 1000,
                "insecureSkipTLSVerify": True,
                "service": {"name": "nosvc", "namespace": "gold"},
                "version": "v1",
                "versionPriority": 15,
            },
        },
        {"/spec/service/port": 443, "/status": {}},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
