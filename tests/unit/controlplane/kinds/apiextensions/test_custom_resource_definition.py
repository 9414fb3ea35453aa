"""What the API server says to customresourcedefinitions; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.apiextensions.custom_resource_definition import KIND

ABSENT = "<absent>"

BASES = {
    "cluster": {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusters.gold.example.com"},
        "spec": {
            "group": "gold.example.com",
            "names": {
                "categories": ["all"],
                "kind": "Cluster",
                "listKind": "ClusterLst",
                "plural": "clusters",
                "shortNames": ["cl"],
                "singular": "one",
            },
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "properties": {
                                "spec": {
                                    "properties": {
                                        "n": {"default": 3, "type": "integer"},
                                        "s": {"type": "string"},
                                    },
                                    "type": "object",
                                }
                            },
                            "type": "object",
                        }
                    },
                    "served": True,
                    "storage": True,
                }
            ],
        },
    },
    "minimal": {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "minimals.gold.example.com"},
        "spec": {
            "group": "gold.example.com",
            "names": {"kind": "Minimal", "plural": "minimals"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "properties": {
                                "spec": {
                                    "properties": {
                                        "n": {"default": 3, "type": "integer"},
                                        "s": {"type": "string"},
                                    },
                                    "type": "object",
                                }
                            },
                            "type": "object",
                        }
                    },
                    "served": True,
                    "storage": True,
                }
            ],
        },
    },
    "rich": {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "richs.gold.example.com"},
        "spec": {
            "conversion": {"strategy": "None"},
            "group": "gold.example.com",
            "names": {"kind": "Rich", "plural": "richs"},
            "preserveUnknownFields": False,
            "scope": "Namespaced",
            "versions": [
                {
                    "additionalPrinterColumns": [
                        {"jsonPath": ".spec.n", "name": "N", "priority": 1, "type": "integer"}
                    ],
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "scale": {
                            "labelSelectorPath": ".status.sel",
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                        },
                        "status": {},
                    },
                },
                {
                    "deprecated": True,
                    "name": "v1beta1",
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                    "served": False,
                    "storage": False,
                },
            ],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "cluster",
        "/spec/names/categories/0",
        "",
        [
            'spec.names.categories[0]: Invalid value: "": a DNS-1035 label must consist of '
            "lower case alphanumeric characters or '-', start with an alphabetic character, and "
            "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "cluster",
        "/spec/names/categories/0",
        "Bad_Value!",
        [
            'spec.names.categories[0]: Invalid value: "Bad_Value!": a DNS-1035 label must '
            "consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
            "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "cluster",
        "/spec/names/listKind",
        "Bad_Value!",
        [
            'spec.names.listKind: Invalid value: "Bad_Value!": may have mixed case, but should '
            "otherwise match: a DNS-1035 label must consist of lower case alphanumeric "
            "characters or '-', start with an alphabetic character, and end with an "
            "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
            "is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "cluster",
        "/spec/names/shortNames/0",
        "",
        [
            'spec.names.shortNames[0]: Invalid value: "": a DNS-1035 label must consist of '
            "lower case alphanumeric characters or '-', start with an alphabetic character, and "
            "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "cluster",
        "/spec/names/shortNames/0",
        "Bad_Value!",
        [
            'spec.names.shortNames[0]: Invalid value: "Bad_Value!": a DNS-1035 label must '
            "consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
            "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "cluster",
        "/spec/names/singular",
        "Bad_Value!",
        [
            'spec.names.singular: Invalid value: "Bad_Value!": a DNS-1035 label must consist of '
            "lower case alphanumeric characters or '-', start with an alphabetic character, and "
            "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "minimal",
        "/spec/versions",
        "<absent>",
        [
            "spec.versions: Invalid value: null: must have exactly one version marked as "
            "storage version",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ],
    ),
    (
        "minimal",
        "/spec/versions/0",
        "<absent>",
        [
            "spec.versions: Invalid value: []: must have exactly one version marked as storage "
            "version",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/schema/openAPIV3Schema",
        "<absent>",
        ["spec.versions[0].schema.openAPIV3Schema: Required value"],
    ),
    (
        "minimal",
        "/spec",
        {},
        [
            'metadata.name: Invalid value: "minimals.gold.example.com": must be '
            'spec.names.plural+"."+spec.group',
            "spec.group: Required value",
            "spec.scope: Required value",
            "spec.versions: Invalid value: null: must have exactly one version marked as "
            "storage version",
            "spec.names.plural: Required value",
            "spec.names.singular: Required value",
            "spec.names.kind: Required value",
            "spec.names.listKind: Required value",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("cluster", "/spec/names/categories", "<absent>"),
    ("cluster", "/spec/names/categories/0", "<absent>"),
    ("cluster", "/spec/names/listKind", "<absent>"),
    ("minimal", "/spec/versions/0/schema/openAPIV3Schema/properties", "<absent>"),
    ("minimal", "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "<absent>"),
    ("minimal", "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties", "<absent>"),
    ("rich", "/spec/conversion", "<absent>"),
    ("rich", "/spec/preserveUnknownFields", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "minimal",
        "/spec/conversion/strategy",
        "<absent>",
        ["spec.conversion.strategy: Required value"],
    ),
    (
        "minimal",
        "/spec/group",
        "<absent>",
        ["spec.group: Required value", 'spec.group: Invalid value: "": field is immutable'],
    ),
    (
        "minimal",
        "/spec/names/plural",
        "<absent>",
        [
            "spec.names.plural: Required value",
            'spec.names.plural: Invalid value: "": field is immutable',
        ],
    ),
    (
        "minimal",
        "/spec/versions",
        "<absent>",
        [
            "spec.versions: Invalid value: null: must have exactly one version marked as "
            "storage version",
            'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was '
            "previously a storage version, and must remain in spec.versions until a storage "
            "migration ensures no data remains persisted in v1 and removes v1 from "
            "status.storedVersions",
        ],
    ),
    (
        "minimal",
        "/spec/versions/0",
        "<absent>",
        [
            "spec.versions: Invalid value: []: must have exactly one version marked as storage "
            "version",
            'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was '
            "previously a storage version, and must remain in spec.versions until a storage "
            "migration ensures no data remains persisted in v1 and removes v1 from "
            "status.storedVersions",
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/name",
        "<absent>",
        [
            'spec.versions[0].name: Invalid value: "": a DNS-1035 label must consist of lower '
            "case alphanumeric characters or '-', start with an alphabetic character, and end "
            "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was '
            "previously a storage version, and must remain in spec.versions until a storage "
            "migration ensures no data remains persisted in v1 and removes v1 from "
            "status.storedVersions",
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/schema",
        "<absent>",
        ["spec.versions[0].schema.openAPIV3Schema: Required value"],
    ),
    (
        "minimal",
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/n/type",
        "<absent>",
        [
            "spec.validation.openAPIV3Schema.properties[spec].properties[n].type: Required "
            "value: must not be empty for specified object fields"
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/s/type",
        "<absent>",
        [
            "spec.validation.openAPIV3Schema.properties[spec].properties[s].type: Required "
            "value: must not be empty for specified object fields"
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/type",
        "<absent>",
        [
            "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be "
            "empty for specified object fields"
        ],
    ),
    (
        "minimal",
        "/spec/versions/0/schema/openAPIV3Schema/type",
        "<absent>",
        ["spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root"],
    ),
    (
        "minimal",
        "/spec/conversion/strategy",
        "Nonex",
        [
            'spec.conversion.strategy: Unsupported value: "Nonex": supported values: "None", '
            '"Webhook"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("cluster", "/spec/names/categories", "<absent>"),
    ("cluster", "/spec/names/categories/0", "<absent>"),
    ("cluster", "/spec/names/shortNames", "<absent>"),
    ("minimal", "/spec/conversion", "<absent>"),
    ("minimal", "/spec/names/listKind", "<absent>"),
    ("minimal", "/spec/names/singular", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "clusters.gold.example.com"},
            "spec": {
                "group": "gold.example.com",
                "names": {
                    "categories": ["all"],
                    "kind": "Cluster",
                    "listKind": "ClusterLst",
                    "plural": "clusters",
                    "shortNames": ["cl"],
                    "singular": "one",
                },
                "scope": "Cluster",
                "versions": [
                    {
                        "name": "v1",
                        "schema": {
                            "openAPIV3Schema": {
                                "properties": {
                                    "spec": {
                                        "properties": {
                                            "n": {"default": 3, "type": "integer"},
                                            "s": {"type": "string"},
                                        },
                                        "type": "object",
                                    }
                                },
                                "type": "object",
                            }
                        },
                        "served": True,
                        "storage": True,
                    }
                ],
            },
        },
        {
            "/spec/conversion": {"strategy": "None"},
            "/status": {
                "acceptedNames": {"kind": "", "plural": ""},
                "conditions": None,
                "storedVersions": ["v1"],
            },
        },
    ),
    (
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "minimals.gold.example.com"},
            "spec": {
                "group": "gold.example.com",
                "names": {"kind": "Minimal", "plural": "minimals"},
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": "v1",
                        "schema": {
                            "openAPIV3Schema": {
                                "properties": {
                                    "spec": {
                                        "properties": {
                                            "n": {"default": 3, "type": "integer"},
                                            "s": {"type": "string"},
                                        },
                                        "type": "object",
                                    }
                                },
                                "type": "object",
                            }
                        },
                        "served": True,
                        "storage": True,
                    }
                ],
            },
        },
        {
            "/spec/names/singular": "minimal",
            "/spec/names/listKind": "MinimalList",
            "/spec/conversion": {"strategy": "None"},
            "/status": {
                "acceptedNames": {"kind": "", "plural": ""},
                "conditions": None,
                "storedVersions": ["v1"],
            },
        },
    ),
    (
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "webhooks.gold.example.com"},
            "spec": {
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {
                        "clientConfig": {"service": {"name": "b", "namespace": "a"}},
                        "conversionReviewVersions": ["v1"],
                    },
                },
                "group": "gold.example.com",
                "names": {"kind": "Webhook", "plural": "webhooks"},
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": "v1",
                        "schema": {
                            "openAPIV3Schema": {
                                "properties": {
                                    "spec": {
                                        "properties": {
                                            "n": {"default": 3, "type": "integer"},
                                            "s": {"type": "string"},
                                        },
                                        "type": "object",
                                    }
                                },
                                "type": "object",
                            }
                        },
                        "served": True,
                        "storage": True,
                    }
                ],
            },
        },
        {
            "/spec/conversion/webhook/clientConfig/service/port": 443,
            "/spec/names/singular": "webhook",
            "/spec/names/listKind": "WebhookList",
            "/status": {
                "acceptedNames": {"kind": "", "plural": ""},
                "conditions": None,
                "storedVersions": ["v1"],
            },
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
