"""What the API server says to limitranges; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.limit_range import KIND

ABSENT = "<absent>"

BASES = {
    "all": {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "all"},
        "spec": {
            "limits": [
                {
                    "default": {"cpu": "1"},
                    "defaultRequest": {"cpu": "500m"},
                    "max": {"cpu": "2000m", "memory": "2Gi"},
                    "maxLimitRequestRatio": {"cpu": "4"},
                    "type": "Container",
                },
                {"max": {"cpu": "5"}, "type": "Pod"},
                {
                    "max": {"storage": "10Gi"},
                    "min": {"storage": "1Gi"},
                    "type": "PersistentVolumeClaim",
                },
            ]
        },
    },
    "container": {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "container", "namespace": "gold"},
        "spec": {
            "limits": [
                {"max": {"cpu": "2", "memory": "2Gi"}, "min": {"cpu": "100m"}, "type": "Container"}
            ]
        },
    },
    "limits-only": {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits-only"},
        "spec": {"limits": [{"default": {"memory": "1Gi"}, "type": "Container"}]},
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "all",
        "/spec/limits/0/default/frobnicate",
        1,
        [
            'spec.limits[0].default[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].default[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
        ],
    ),
    (
        "all",
        "/spec/limits/0/defaultRequest/frobnicate",
        1,
        [
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
        ],
    ),
    (
        "all",
        "/spec/limits/0/maxLimitRequestRatio/frobnicate",
        1,
        [
            'spec.limits[0].maxLimitRequestRatio[frobnicate]: Invalid value: "frobnicate": must '
            "be a standard resource type or fully qualified",
            'spec.limits[0].maxLimitRequestRatio[frobnicate]: Invalid value: "frobnicate": must '
            "be a standard resource for containers",
        ],
    ),
    (
        "all",
        "/spec/limits/0/default/cpu",
        7,
        [
            'spec.limits[0].default[cpu]: Invalid value: "2": default value 7 is greater than '
            "max value 2"
        ],
    ),
    (
        "all",
        "/spec/limits/0/defaultRequest/cpu",
        7,
        [
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "7": default request value 7 is '
            "greater than max value 2",
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "7": default request value 7 is '
            "greater than default limit value 1",
        ],
    ),
    (
        "all",
        "/spec/limits/2/max/storage",
        7,
        [
            'spec.limits[2].min[storage]: Invalid value: "1Gi": min value 1Gi is greater than '
            "max value 7"
        ],
    ),
    (
        "container",
        "/spec/limits/0/max/frobnicate",
        1,
        [
            'spec.limits[0].max[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource type or fully qualified",
            'spec.limits[0].max[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource for containers",
            'spec.limits[0].default[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].default[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
        ],
    ),
    (
        "container",
        "/spec/limits/0/min/frobnicate",
        1,
        [
            'spec.limits[0].min[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource type or fully qualified",
            'spec.limits[0].min[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource for containers",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource type or fully qualified",
            'spec.limits[0].defaultRequest[frobnicate]: Invalid value: "frobnicate": must be a '
            "standard resource for containers",
        ],
    ),
    (
        "container",
        "/spec/limits",
        [
            {"max": {"cpu": "2", "memory": "2Gi"}, "min": {"cpu": "100m"}, "type": "Container"},
            {"max": {"cpu": "2", "memory": "2Gi"}, "min": {"cpu": "100m"}, "type": "Container"},
        ],
        ['spec.limits[1].type: Duplicate value: "Container"'],
    ),
    (
        "container",
        "/spec/limits/0",
        {},
        [
            'spec.limits[0].type: Invalid value: "": name part must be non-empty',
            'spec.limits[0].type: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "container",
        "/spec/limits/0/min/cpu",
        7,
        [
            'spec.limits[0].min[cpu]: Invalid value: "7": min value 7 is greater than max value 2',
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "2": min value 7 is greater '
            "than default request value 2",
            'spec.limits[0].default[cpu]: Invalid value: "7": min value 7 is greater than '
            "default value 2",
        ],
    ),
    (
        "container",
        "/spec/limits/0/type",
        "Bad_Value!",
        [
            'spec.limits[0].type: Invalid value: "Bad_Value!": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("all", "/spec/limits/0/default", "<absent>"),
    ("all", "/spec/limits/0/default/cpu", "<absent>"),
    ("all", "/spec/limits/0/defaultRequest", "<absent>"),
    ("container", "/spec", "<absent>"),
    ("container", "/spec/limits", "<absent>"),
    ("container", "/spec/limits/0", "<absent>"),
    ("limits-only", "/spec/limits/0/default/memory", "<absent>"),
    ("limits-only", "/spec/limits/0/default/memory", 7),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "container",
        "/spec/limits/0/type",
        "<absent>",
        [
            'spec.limits[0].type: Invalid value: "": name part must be non-empty',
            'spec.limits[0].type: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "container",
        "/spec/limits/0/type",
        "Containerx",
        [
            'spec.limits[0].type: Invalid value: "Containerx": must be a standard limit type or '
            "fully qualified"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("all", "/spec/limits/0/maxLimitRequestRatio", "<absent>"),
    ("all", "/spec/limits/0/maxLimitRequestRatio/cpu", "<absent>"),
    ("all", "/spec/limits/2/max/storage", "<absent>"),
    ("container", "/spec/limits/0", "<absent>"),
    ("container", "/spec/limits/0/default", "<absent>"),
    ("container", "/spec/limits/0/default/cpu", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "all"},
            "spec": {
                "limits": [
                    {
                        "default": {"cpu": "1"},
                        "defaultRequest": {"cpu": "500m"},
                        "max": {"cpu": "2000m", "memory": "2Gi"},
                        "maxLimitRequestRatio": {"cpu": "4"},
                        "type": "Container",
                    },
                    {"max": {"cpu": "5"}, "type": "Pod"},
                    {
                        "max": {"storage": "10Gi"},
                        "min": {"storage": "1Gi"},
                        "type": "PersistentVolumeClaim",
                    },
                ]
            },
        },
        {
            "/spec/limits/0/default/memory": "2Gi",
            "/spec/limits/0/defaultRequest/memory": "2Gi",
            "/spec/limits/0/max/cpu": "2",
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "container", "namespace": "gold"},
            "spec": {
                "limits": [
                    {
                        "max": {"cpu": "2", "memory": "2Gi"},
                        "min": {"cpu": "100m"},
                        "type": "Container",
                    }
                ]
            },
        },
        {
            "/spec/limits/0/default": {"cpu": "2", "memory": "2Gi"},
            "/spec/limits/0/defaultRequest": {"cpu": "2", "memory": "2Gi"},
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "limits-only"},
            "spec": {"limits": [{"default": {"memory": "1Gi"}, "type": "Container"}]},
        },
        {"/spec/limits/0/defaultRequest": {"memory": "1Gi"}},
    ),
    (
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "min"}},
        {"/spec": {"limits": None}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
