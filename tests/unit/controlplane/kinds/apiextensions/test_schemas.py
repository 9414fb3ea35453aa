"""Schemas of custom resources: structural ones, and what is said of the others."""

import pytest

from controlplane.kinds.apiextensions import schema_rules


def _told(properties, has_status=False, **fields):
    schema = {"type": "object", "properties": properties, **fields}
    causes = schema_rules.validate("s", schema, has_status=has_status)
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({"a": {"x-kubernetes-int-or-string": True}}, id="either"),
        pytest.param(
            {
                "a": {
                    "x-kubernetes-int-or-string": True,
                    "anyOf": [{"type": "integer"}, {"type": "string"}],
                }
            },
            id="either-spelt-out",
        ),
        pytest.param({"a": {"x-kubernetes-preserve-unknown-fields": True}}, id="anything"),
        pytest.param(
            {"a": {"type": "object", "additionalProperties": {"type": "string"}}}, id="map"
        ),
        pytest.param(
            {
                "a": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                    "items": {
                        "type": "object",
                        "required": ["k"],
                        "properties": {"k": {"type": "string"}},
                    },
                }
            },
            id="list-map",
        ),
        pytest.param(
            {
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": 9}},
                }
            },
            id="name",
        ),
        pytest.param({"a": {"type": "integer", "default": 3, "minimum": 1}}, id="default"),
        pytest.param(
            {"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]}},
            id="rule",
        ),
    ],
)
def test_schemas_that_pass(properties) -> None:
    assert _told(properties) == []


@pytest.mark.parametrize(
    ("properties", "causes"),
    [
        pytest.param(
            {"a": {}},
            ["s.properties[a].type: Required value: must not be empty for specified object fields"],
            id="untyped",
        ),
        pytest.param(
            {"a": {"type": "array"}},
            ["s.properties[a].items: Required value: must be specified"],
            id="list-of-what",
        ),
        pytest.param(
            {"a": {"type": "string", "allOf": [{"type": "string", "nullable": True}]}},
            [
                "s.properties[a].allOf[0].nullable: Forbidden: must be false to be structural",
                "s.properties[a].allOf[0].type: Forbidden: must be empty to be structural",
            ],
            id="types-below-junctors",
        ),
        pytest.param(
            {"a": {"type": "integer", "default": 0, "minimum": 1}},
            [
                "s.properties[a].default: Invalid value: 0:  in body should be greater than or equal to 1"
            ],
            id="default-that-does-not-hold",
        ),
        pytest.param(
            {"a": {"type": "object", "default": {"b": 1}}},
            ['s.properties[a].default: Invalid value: {"b":1}: must not have unknown fields'],
            id="default-with-more",
        ),
        pytest.param(
            {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            [
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but "
                "metadata is implicitly specified"
            ],
            id="metadata",
        ),
        pytest.param(
            {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}},
            [
                "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if "
                "x-kubernetes-list-type is map"
            ],
            id="no-keys",
        ),
        pytest.param(
            {
                "a": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k", "l"],
                    "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                }
            },
            [
                's.properties[a].x-kubernetes-list-map-keys: Invalid value: ["k","l"]: entries must all be '
                "names of item properties",
                "s.properties[a].items.properties[k].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ],
            id="keys",
        ),
        pytest.param(
            {"a": {"type": "string", "x-kubernetes-list-type": "set"}},
            [
                's.properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified'
            ],
            id="list-type-of-no-list",
        ),
        pytest.param(
            {"a": {"type": "string", "x-kubernetes-validations": [{"rule": " "}]}},
            [
                "s.properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified"
            ],
            id="no-rule",
        ),
        pytest.param(
            {"a": {"type": "string", "pattern": "("}},
            [
                's.properties[a].pattern: Invalid value: "(": must be a valid regular expression, '
                "but isn't: missing ), unterminated subpattern at position 0"
            ],
            id="pattern",
        ),
    ],
)
def test_what_is_said_of_others(properties, causes) -> None:
    assert _told(properties) == causes


def test_what_junctors_speak_of_must_be_in_the_structure() -> None:
    assert _told({}, anyOf=[{"properties": {"b": {"minimum": 1}}}]) == [
        "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"
    ]


def test_a_rule_that_is_no_cel() -> None:
    rule = {"rule": "self ="}
    (cause,) = _told({"a": {"type": "string", "x-kubernetes-validations": [rule]}})
    assert cause.startswith(
        's.properties[a].x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self ="'
    )
    assert "compilation failed: ERROR: <input>" in cause


def test_the_root_of_a_kind_with_status() -> None:
    (cause,) = _told({}, has_status=True, anyOf=[{"required": ["a"]}])
    assert "anyOf is not allowed at the root of the schema" in cause


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        pytest.param({"rule": "true", "fieldPath": ".nope"},
            's.x-kubernetes-validations[0].fieldPath: Invalid value: ".nope": must be a valid path', id="no-field"),
        pytest.param({"rule": "true", "fieldPath": ".a.b"}, "", id="field"),
        pytest.param({"rule": "true", "fieldPath": ".a['b']"}, "", id="field-in-brackets"),
        pytest.param({"rule": "true", "messageExpression": "1"},
            's.x-kubernetes-validations[0].messageExpression: Invalid value: {"Rule":"true","Message":"",'
            '"MessageExpression":"1","Reason":null,"FieldPath":"","OptionalOldSelf":null}: messageExpression must '
            "evaluate to a string", id="message-is-no-text"),
        pytest.param({"rule": "true", "messageExpression": "'a' + 'b'"}, "", id="message"),
    ],
)  # fmt: skip
def test_rules_name_fields_and_texts(rule, told):
    properties = {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}
    assert _told(properties, **{"x-kubernetes-validations": [rule]}) == ([told] if told else [])


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        pytest.param({}, True, id="atomic"),
        pytest.param({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}, False, id="by-keys"),
    ],
)  # fmt: skip
def test_a_rule_that_compares_needs_to_know_what_with(fields, is_told):
    item = {
        "type": "object", "required": ["k"], "properties": {"k": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "oldSelf == self"}],
    }  # fmt: skip
    told = _told({"a": {"type": "array", "items": item, **fields}})
    wanted = (
        's.properties[a].items.x-kubernetes-validations[0].rule: Invalid value: "oldSelf == self": oldSelf cannot be '
        "used on the uncorrelatable portion of the schema within s.properties[a]"
    )
    assert told == ([wanted] if is_told else [])
