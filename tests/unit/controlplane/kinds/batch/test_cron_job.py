"""What the API server says to cronjobs; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.batch.cron_job import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "min"},
        "spec": {
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [{"image": "nginx", "name": "c"}],
                            "restartPolicy": "Never",
                        }
                    }
                }
            },
            "schedule": "0 0 1 1 *",
        },
    },
    "rich": {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "rich"},
        "spec": {
            "concurrencyPolicy": "Forbid",
            "failedJobsHistoryLimit": 5,
            "jobTemplate": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {
                    "completionMode": "Indexed",
                    "completions": 2,
                    "template": {
                        "spec": {
                            "containers": [{"image": "nginx", "name": "c"}],
                            "restartPolicy": "Never",
                        }
                    },
                },
            },
            "schedule": "@daily",
            "startingDeadlineSeconds": 20,
            "successfulJobsHistoryLimit": 0,
            "suspend": True,
            "timeZone": "Europe/Berlin",
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0",
        "<absent>",
        ["spec.jobTemplate.spec.template.spec.containers: Required value"],
    ),
    (
        "min",
        "/spec",
        {},
        [
            "spec.schedule: Required value",
            "spec.jobTemplate.spec.template.spec.containers: Required value",
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"',
        ],
    ),
    (
        "min",
        "/spec/jobTemplate",
        {},
        [
            "spec.jobTemplate.spec.template.spec.containers: Required value",
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"',
        ],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers",
        [{"image": "nginx", "name": "c"}, {"image": "nginx", "name": "c"}],
        ['spec.jobTemplate.spec.template.spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0",
        {},
        [
            "spec.jobTemplate.spec.template.spec.containers[0].name: Required value",
            "spec.jobTemplate.spec.template.spec.containers[0].image: Required value",
        ],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/image",
        "",
        ["spec.jobTemplate.spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/name",
        "",
        ["spec.jobTemplate.spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/name",
        "Bad_Value!",
        [
            "spec.jobTemplate.spec.template.spec.containers[0].name: Invalid value: "
            '"Bad_Value!": a lowercase RFC 1123 label must consist of lower case alphanumeric '
            "characters or '-', and must start and end with an alphanumeric character (e.g. "
            "'my-name',  or '123-abc', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/restartPolicy",
        "",
        [
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"'
        ],
    ),
    ("min", "/spec/schedule", "", ["spec.schedule: Required value"]),
    (
        "min",
        "/spec/schedule",
        "Bad_Value!",
        [
            'spec.schedule: Invalid value: "Bad_Value!": expected exactly 5 fields, found 1: '
            "[Bad_Value!]"
        ],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completions",
        "<absent>",
        ["spec.jobTemplate.spec.completions: Required value: when completion mode is Indexed"],
    ),
    (
        "rich",
        "/spec/concurrencyPolicy",
        "Bad_Value!",
        [
            'spec.concurrencyPolicy: Unsupported value: "Bad_Value!": supported values: '
            '"Allow", "Forbid", "Replace"'
        ],
    ),
    (
        "rich",
        "/spec/failedJobsHistoryLimit",
        -1,
        ["spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completionMode",
        "",
        [
            'spec.jobTemplate.spec.completionMode: Unsupported value: "": supported values: '
            '"NonIndexed", "Indexed"'
        ],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completionMode",
        "Bad_Value!",
        [
            'spec.jobTemplate.spec.completionMode: Unsupported value: "Bad_Value!": supported '
            'values: "NonIndexed", "Indexed"'
        ],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completions",
        -1,
        [
            "spec.jobTemplate.spec.completions: Invalid value: -1: must be greater than or "
            "equal to 0"
        ],
    ),
    (
        "rich",
        "/spec/startingDeadlineSeconds",
        -1,
        ["spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "rich",
        "/spec/successfulJobsHistoryLimit",
        -1,
        ["spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "rich",
        "/spec/timeZone",
        "",
        ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string'],
    ),
    (
        "rich",
        "/spec/timeZone",
        "Bad_Value!",
        ['spec.timeZone: Invalid value: "Bad_Value!": unknown time zone Bad_Value!'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec/jobTemplate/spec/template/spec/containers/0/image", "Bad_Value!"),
    ("rich", "/spec/concurrencyPolicy", "<absent>"),
    ("rich", "/spec/failedJobsHistoryLimit", "<absent>"),
    ("rich", "/spec/jobTemplate/metadata", "<absent>"),
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
            "spec.schedule: Required value",
            "spec.jobTemplate.spec.template.spec.containers: Required value",
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"',
        ],
    ),
    (
        "min",
        "/spec/jobTemplate",
        "<absent>",
        [
            "spec.jobTemplate.spec.template.spec.containers: Required value",
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"',
        ],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers",
        "<absent>",
        ["spec.jobTemplate.spec.template.spec.containers: Required value"],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/image",
        "<absent>",
        ["spec.jobTemplate.spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/name",
        "<absent>",
        ["spec.jobTemplate.spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/restartPolicy",
        "<absent>",
        [
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"'
        ],
    ),
    ("min", "/spec/schedule", "<absent>", ["spec.schedule: Required value"]),
    (
        "min",
        "/spec/concurrencyPolicy",
        "Allowx",
        [
            'spec.concurrencyPolicy: Unsupported value: "Allowx": supported values: "Allow", '
            '"Forbid", "Replace"'
        ],
    ),
    (
        "min",
        "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy",
        "Alwaysx",
        [
            "spec.jobTemplate.spec.template.spec.containers[0].imagePullPolicy: Unsupported "
            'value: "Alwaysx": supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        "min",
        "/spec/schedule",
        "0 0 1 1 *x",
        [
            'spec.schedule: Invalid value: "0 0 1 1 *x": failed to parse int from *x: '
            'strconv.Atoi: parsing "*x": invalid syntax'
        ],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completions",
        "<absent>",
        ["spec.jobTemplate.spec.completions: Required value: when completion mode is Indexed"],
    ),
    (
        "rich",
        "/spec/jobTemplate/spec/completionMode",
        "Indexedx",
        [
            'spec.jobTemplate.spec.completionMode: Unsupported value: "Indexedx": supported '
            'values: "NonIndexed", "Indexed"'
        ],
    ),
    (
        "rich",
        "/spec/timeZone",
        "Europe/Berlinx",
        ['spec.timeZone: Invalid value: "Europe/Berlinx": unknown time zone Europe/Berlinx'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/concurrencyPolicy", "<absent>"),
    ("min", "/spec/failedJobsHistoryLimit", "<absent>"),
    ("min", "/spec/jobTemplate/metadata", "<absent>"),
    ("rich", "/spec/jobTemplate/metadata/labels", "<absent>"),
    ("rich", "/spec/jobTemplate/metadata/labels/a", "<absent>"),
    ("rich", "/spec/jobTemplate/spec/completionMode", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "every"},
            "spec": {
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        }
                    }
                },
                "schedule": "@every 1h",
                "suspend": True,
            },
        },
        {
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/jobTemplate/spec/template/spec/containers/0/resources": {},
            "/spec/jobTemplate/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/jobTemplate/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/jobTemplate/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/jobTemplate/spec/template/spec/securityContext": {},
            "/spec/jobTemplate/spec/template/metadata": {},
            "/spec/jobTemplate/metadata": {},
            "/spec/concurrencyPolicy": "Allow",
            "/spec/successfulJobsHistoryLimit": 3,
            "/spec/failedJobsHistoryLimit": 1,
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "min"},
            "spec": {
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        }
                    }
                },
                "schedule": "0 0 1 1 *",
            },
        },
        {
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/jobTemplate/spec/template/spec/containers/0/resources": {},
            "/spec/jobTemplate/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/jobTemplate/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/jobTemplate/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/jobTemplate/spec/template/spec/securityContext": {},
            "/spec/jobTemplate/spec/template/metadata": {},
            "/spec/jobTemplate/metadata": {},
            "/spec/concurrencyPolicy": "Allow",
            "/spec/suspend": False,
            "/spec/successfulJobsHistoryLimit": 3,
            "/spec/failedJobsHistoryLimit": 1,
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "rich"},
            "spec": {
                "concurrencyPolicy": "Forbid",
                "failedJobsHistoryLimit": 5,
                "jobTemplate": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "completionMode": "Indexed",
                        "completions": 2,
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        },
                    },
                },
                "schedule": "@daily",
                "startingDeadlineSeconds": 20,
                "successfulJobsHistoryLimit": 0,
                "suspend": True,
                "timeZone": "Europe/Berlin",
            },
        },
        {
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/jobTemplate/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/jobTemplate/spec/template/spec/containers/0/resources": {},
            "/spec/jobTemplate/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/jobTemplate/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/jobTemplate/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/jobTemplate/spec/template/spec/securityContext": {},
            "/spec/jobTemplate/spec/template/metadata": {},
            "/status": {},
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "every"},
            "spec": {
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        }
                    }
                },
                "schedule": "@every 1h",
                "suspend": True,
            },
        },
        None,
        ["every", "@every 1h", "<none>", "True", 0, "<none>", "5s", "c", "nginx", "<none>"],
    ),
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "min"},
            "spec": {
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        }
                    }
                },
                "schedule": "0 0 1 1 *",
            },
        },
        None,
        ["min", "0 0 1 1 *", "<none>", "False", 0, "<none>", "5s", "c", "nginx", "<none>"],
    ),
    (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "rich"},
            "spec": {
                "concurrencyPolicy": "Forbid",
                "failedJobsHistoryLimit": 5,
                "jobTemplate": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "completionMode": "Indexed",
                        "completions": 2,
                        "template": {
                            "spec": {
                                "containers": [{"image": "nginx", "name": "c"}],
                                "restartPolicy": "Never",
                            }
                        },
                    },
                },
                "schedule": "@daily",
                "startingDeadlineSeconds": 20,
                "successfulJobsHistoryLimit": 0,
                "suspend": True,
                "timeZone": "Europe/Berlin",
            },
        },
        None,
        ["rich", "@daily", "Europe/Berlin", "True", 0, "<none>", "5s", "c", "nginx", "<none>"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
