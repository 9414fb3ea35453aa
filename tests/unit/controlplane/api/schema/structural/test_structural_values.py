"""What a custom resource's schema does to values; texts as upstream's API server answers them."""

import copy
from typing import Any

import pytest

from controlplane.api.schema.structural import (
    defaulting,
    embedded,
    lists,
    pruning,
    rules,
    validation,
)
from controlplane.api.schema.structural.formats import FORMATS, check_of
from controlplane.api.schema.structural.node import MISSING, parse

ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "value", "left", "unknown"),
    [
        pytest.param(of(a=STRING), {"a": "x", "b": 1}, {"a": "x"}, ["b"], id="unknown_field"),
        pytest.param(
            of(a=STRING),
            {"kind": "K", "metadata": {"q": 1}},
            {"kind": "K", "metadata": {"q": 1}},
            [],
            id="type_stays",
        ),
        pytest.param(
            of(a=of(b=STRING)),
            {"a": {"c": 1, "metadata": {}}},
            {"a": {}},
            ["a.c", "a.metadata"],
            id="nested",
        ),
        pytest.param(
            of(a={"type": "array", "items": of(b=STRING)}),
            {"a": [{"x": 1}]},
            {"a": [{}]},
            ["a[0].x"],
            id="in_a_list",
        ),
        pytest.param(of(a=ANY), {"a": {"x": {"y": 1}}}, {"a": {"x": {"y": 1}}}, [], id="preserved"),
        pytest.param(
            of(a={**ANY, **of(b=of(c=STRING))}),
            {"a": {"x": 1, "b": {"d": 1}}},
            {"a": {"x": 1, "b": {}}},
            ["a.b.d"],
            id="named_field_inside_preserved",
        ),
        pytest.param(
            of(a={"type": "object", "additionalProperties": of(b=STRING)}),
            {"a": {"k": {"z": 1}}},
            {"a": {"k": {}}},
            ["a.k.z"],
            id="map_values",
        ),
        pytest.param(
            of(a={"type": "object", "additionalProperties": True}),
            {"a": {"k": 1}},
            {"a": {"k": 1}},
            [],
            id="any_property",
        ),
        pytest.param(
            of(a={"type": "object", "x-kubernetes-embedded-resource": True}),
            {"a": {"kind": "K", "spec": 1}},
            {"a": {"kind": "K"}},
            ["a.spec"],
            id="embedded",
        ),
    ],
)
def test_pruning(schema: Any, value: Any, left: Any, unknown: list[str]) -> None:
    assert pruning.prune(value, parse(schema)) == unknown
    assert value == left


@pytest.mark.parametrize(
    ("schema", "value", "left"),
    [
        pytest.param(of(a=STRING), {"a": None}, {}, id="null_is_dropped"),
        pytest.param(
            of(a={**STRING, "nullable": True}), {"a": None}, {"a": None}, id="nullable_stays"
        ),
        pytest.param(
            of(a={**STRING, "default": "x"}), {"a": None}, {"a": "x"}, id="null_takes_the_default"
        ),
        pytest.param(
            of(a={**STRING, "default": "x"}), {}, {"a": "x"}, id="missing_takes_the_default"
        ),
        pytest.param(
            of(a={**STRING, "default": "x"}), {"a": ""}, {"a": ""}, id="what_is_set_stays"
        ),
        pytest.param(
            of(a={**of(b={**INTEGER, "default": 2}), "default": {}}),
            {},
            {"a": {"b": 2}},
            id="default_inside_a_default",
        ),
        pytest.param(
            of(a={"type": "array", "items": of(b={**INTEGER, "default": 2})}),
            {"a": [{}, {"b": 1}]},
            {"a": [{"b": 2}, {"b": 1}]},
            id="items",
        ),
        pytest.param(
            of(a={"type": "object", "additionalProperties": {**STRING, "default": "d"}}),
            {"a": {"k": None}},
            {"a": {"k": "d"}},
            id="map_values",
        ),
    ],
)
def test_defaulting(schema: Any, value: Any, left: Any) -> None:
    node = parse(schema)
    pruning.drop_nulls(value, node)
    defaulting.default(value, node)
    assert value == left


def test_a_default_is_never_shared() -> None:
    node = parse(of(a={"type": "array", "items": INTEGER, "default": [1]}))
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    defaulting.default(one, node)
    defaulting.default(other, node)
    one["a"].append(2)
    assert other == {"a": [1]}


@pytest.mark.parametrize(
    ("schema", "value", "field", "message"),
    [
        pytest.param(
            INTEGER,
            "x",
            "spec",
            'Invalid value: "string": spec in body must be of type integer: "string"',
            id="type",
        ),
        pytest.param(
            INTEGER,
            1.5,
            "spec",
            'Invalid value: "number": spec in body must be of type integer: "number"',
            id="fraction",
        ),
        pytest.param(
            {**INTEGER, "format": "int32"},
            2**31,
            "spec",
            'Invalid value: "integer": spec in body must be of type int32: "integer"',
            id="int32",
        ),
        pytest.param(
            STRING,
            True,
            "spec",
            'Invalid value: "boolean": spec in body must be of type string: "boolean"',
            id="boolean",
        ),
        pytest.param(
            STRING,
            None,
            "spec",
            'Invalid value: "null": spec in body must be of type string: "null"',
            id="null",
        ),
        pytest.param(
            {"x-kubernetes-int-or-string": True},
            [],
            "spec",
            'Invalid value: "array": spec in body must be of type integer,string: "array"',
            id="int_or_string",
        ),
        pytest.param(
            {**of(a=STRING), "required": ["a"]}, {}, "spec.a", "Required value", id="required"
        ),
        pytest.param(
            {**STRING, "enum": ["a", "b"]},
            "c",
            "spec",
            'Unsupported value: "c": supported values: "a", "b"',
            id="enum",
        ),
        pytest.param(
            {**STRING, "maxLength": 2},
            "abc",
            "spec",
            "Too long: may not be more than 2 bytes",
            id="max_length",
        ),
        pytest.param(
            {**STRING, "minLength": 2},
            "a",
            "spec",
            'Invalid value: "a": spec in body should be at least 2 chars long',
            id="min_length",
        ),
        pytest.param(
            {**STRING, "pattern": "^a+$"},
            "b",
            "spec",
            "Invalid value: \"b\": spec in body should match '^a+$'",
            id="pattern",
        ),
        pytest.param(
            {**STRING, "format": "date"},
            "b",
            "spec",
            'Invalid value: "b": spec in body must be of type date: "b"',
            id="format",
        ),
        pytest.param(
            {**INTEGER, "minimum": 1},
            0,
            "spec",
            "Invalid value: 0: spec in body should be greater than or equal to 1",
            id="minimum",
        ),
        pytest.param(
            {**INTEGER, "minimum": 1, "exclusiveMinimum": True},
            1,
            "spec",
            "Invalid value: 1: spec in body should be greater than 1",
            id="exclusive_minimum",
        ),
        pytest.param(
            {**INTEGER, "maximum": 5},
            6,
            "spec",
            "Invalid value: 6: spec in body should be less than or equal to 5",
            id="maximum",
        ),
        pytest.param(
            {"type": "number", "multipleOf": 0.5},
            0.7,
            "spec",
            "Invalid value: 0.7: spec in body should be a multiple of 0.5",
            id="multiple",
        ),
        pytest.param(
            {"type": "array", "items": INTEGER, "maxItems": 1},
            [1, 2],
            "spec",
            "Too many: 2: must have at most 1 item",
            id="max_items",
        ),
        pytest.param(
            {"type": "array", "items": INTEGER, "minItems": 1},
            [],
            "spec",
            "Invalid value: 0: spec in body should have at least 1 items",
            id="min_items",
        ),
        pytest.param(
            {"type": "array", "items": INTEGER},
            ["x"],
            "spec[0]",
            'Invalid value: "string": spec[0] in body must be of type integer: "string"',
            id="item",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": INTEGER, "maxProperties": 1},
            {"a": 1, "b": 2},
            "spec",
            "Too many: 2: must have at most 1 item",
            id="max_properties",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": INTEGER},
            {"a": "x"},
            "spec.a",
            'Invalid value: "string": spec.a in body must be of type integer: "string"',
            id="map_value",
        ),
        pytest.param(
            {**STRING, "not": {"enum": ["x"]}},
            "x",
            "<nil>",
            'Invalid value: "": "spec" must not validate the schema (not)',
            id="not",
        ),
        pytest.param(
            {**STRING, "oneOf": [{"enum": ["a"]}, {"maxLength": 1}]},
            "a",
            "<nil>",
            'Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives',
            id="one_of_two",
        ),
        pytest.param(
            {**STRING, "anyOf": [{"enum": ["a"]}]},
            "b",
            "<nil>",
            'Invalid value: "": "spec" must validate at least one schema (anyOf)',
            id="any_of",
        ),
    ],
)
def test_refusals(schema: Any, value: Any, field: str, message: str) -> None:
    found = validation.validate(value, parse(schema), "spec")
    assert (found[0].field, found[0].message) == (field, message)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INTEGER, 2.0),
        ({"type": "number"}, 2),
        ({**STRING, "nullable": True}, None),
        ({}, {"anything": [1]}),
        ({"x-kubernetes-int-or-string": True}, "50%"),
        ({"x-kubernetes-int-or-string": True}, 3),
        ({**STRING, "format": "unheard-of"}, "x"),
        ({**STRING, "maxLength": 2}, "éé"),
        ({**STRING, "allOf": [{"minLength": 1}, {"maxLength": 3}]}, "ab"),
    ],
)
def test_what_is_right_is_taken(schema: Any, value: Any) -> None:
    assert validation.validate(value, parse(schema)) == []


def test_an_update_is_not_refused_for_what_it_leaves_alone() -> None:
    items = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}
    entry = of(n=STRING, v={**INTEGER, "maximum": 1})
    node = parse(of(a={**STRING, "enum": ["x"]}, b=INTEGER, c={**items, "items": entry}))
    old = {"a": "old", "b": 1, "c": [{"n": "1", "v": 9}]}
    assert validation.validate_update({**old, "b": 2}, old, node) == []
    moved = {**old, "c": [{"n": "2", "v": 0}, {"n": "1", "v": 9}]}
    assert validation.validate_update(moved, old, node) == []
    found = validation.validate_update({**old, "a": "new", "b": True}, old, node)
    assert [cause.field for cause in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "items", "value", "field", "message"),
    [
        ("set", STRING, ["a", "b", "a"], "l[2]", 'Duplicate value: "a"'),
        (
            "map",
            of(n=STRING),
            [{"n": "a"}, {"n": "b"}, {"n": "a"}],
            "l[2]",
            'Duplicate value: {"n":"a"}',
        ),
        ("map", of(n={**STRING, "default": "a"}), [{"n": "a"}, {}], "l[1]", "Duplicate value: {}"),
    ],
)
def test_sets_and_maps_have_nothing_twice(
    kind: str, items: Any, value: Any, field: str, message: str
) -> None:
    schema = {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": kind,
        "x-kubernetes-list-map-keys": ["n"],
    }
    found = lists.validate({"l": value}, parse(of(l=schema)))
    assert [(cause.field, cause.message) for cause in found] == [(field, message)]


def test_an_embedded_object_has_a_type() -> None:
    node = parse(of(t={**ANY, "x-kubernetes-embedded-resource": True}))
    good = {"t": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}}
    assert embedded.validate(good, node) == []
    found = embedded.validate({"t": {"kind": "", "metadata": {"name": "a/b"}}}, node)
    assert [(cause.field, cause.message) for cause in found] == [
        ("t.apiVersion", "Required value"),
        ("t.kind", 'Invalid value: "": must not be empty'),
        ("t.metadata.name", "Invalid value: \"a/b\": may not contain '/'"),
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uuid", "0b5e6c3a-2d5e-4c39-9d27-0a6f4f6d5c11", "0b5e"),
        ("ipv4", "10.0.0.1", "::1"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02"),
        ("date", "2026-01-02", "2026-13-02"),
        ("duration", "1h30m", "1 parsec"),
        ("byte", "YWJj", "a"),
        ("email", "a@b.example", "nobody"),
        ("hostname", "a.example", "-a-"),
        ("mac", "00:1a:2b:3c:4d:5e", "00:1a"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("hexcolor", "#ffF", "#ff"),
        ("rgbcolor", "rgb(0, 10,255)", "rgb(0,10,256)"),
        ("k8s-short-name", "a-b", "A"),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    check = check_of(name)
    assert check is not None
    assert check(good)
    assert not check(bad)


def test_the_formats_are_those_of_upstream() -> None:
    assert len(FORMATS) == 26


def rule(text: str, **others: Any) -> dict[str, Any]:
    return {"rule": text, **others}


def ruled(schema: dict[str, Any], *entries: dict[str, Any]) -> rules.Rules:
    return rules.Rules(parse({**schema, "x-kubernetes-validations": list(entries)}))


RULED = of(
    replicas=INTEGER,
    least={**INTEGER, "x-kubernetes-validations": [rule("self >= 0")]},
    name={
        **STRING,
        "x-kubernetes-validations": [rule("self == oldSelf", message="name is immutable")],
    },
    until={**STRING, "format": "date-time"},
    namespace=STRING,
)


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("self.replicas >= self.least", {"replicas": 1, "least": 1}, None),
        (
            "self.replicas >= self.least",
            {"replicas": 0, "least": 1},
            "Invalid value: failed rule: self.replicas >= self.least",
        ),
        ("self.until > timestamp('2020-01-01T00:00:00Z')", {"until": "2021-01-01T00:00:00Z"}, None),
        ("self.__namespace__ == 'x'", {"namespace": "x"}, None),
        (
            "self.replicas == 1",
            {},
            'Invalid value: "object": no such key: replicas evaluating rule: self.replicas == 1',
        ),
        ("!has(self.replicas)", {}, None),
    ],
)
def test_rules(text: str, value: Any, wanted: str | None) -> None:
    found = ruled(RULED, rule(text)).validate(value)
    assert [cause.message for cause in found] == ([wanted] if wanted else [])


def test_a_transition_rule_needs_something_to_compare_with() -> None:
    one = rules.Rules(parse(RULED))
    assert one.validate({"name": "a"}) == []
    assert one.validate({"name": "a"}, {"name": "a"}) == []
    found = one.validate({"name": "b"}, {"name": "a"})
    assert [(c.field, c.message) for c in found] == [
        ("name", 'Invalid value: "b": name is immutable')
    ]


def test_a_rule_with_optional_old_self_runs_on_create() -> None:
    text = "!oldSelf.hasValue() || oldSelf.value() <= self"
    one = ruled(INTEGER, rule(text, optionalOldSelf=True))
    assert one.validate(1) == []
    assert one.validate(2, 1) == []
    assert len(one.validate(1, 2)) == 1


def test_a_message_may_be_computed_and_a_reason_given() -> None:
    one = ruled(
        RULED,
        rule(
            "self.replicas < 3",
            messageExpression="'too many: ' + string(self.replicas)",
            reason="FieldValueForbidden",
            fieldPath=".replicas",
        ),
    )
    assert [(c.field, c.message, c.reason) for c in one.validate({"replicas": 5})] == [
        ("replicas", "Forbidden: too many: 5", "FieldValueForbidden")
    ]


def test_what_was_broken_before_and_is_left_alone_is_let_through() -> None:
    one = rules.Rules(parse(RULED))
    assert one.validate({"least": -1, "replicas": 2}, {"least": -1, "replicas": 1}) == []


def test_rules_that_do_not_compile_are_told_with_their_place() -> None:
    schema = of(
        a={"type": "array", "items": {**STRING, "x-kubernetes-validations": [rule("self ==")]}},
        b={**STRING, "x-kubernetes-validations": [rule("'x'")]},
    )
    found = [
        (problem.path, problem.text.split(":")[0])
        for problem in rules.Rules(parse(schema)).compile_errors()
    ]
    assert found == [
        (".properties[a].items", "compilation failed"),
        (".properties[b]", "cel expression must evaluate to a bool"),
    ]


def test_a_schema_without_rules_costs_nothing() -> None:
    assert rules.Rules.of(parse(of(a=STRING))) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a", "a"),
        ("in", "__in__"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("ä", ""),
    ],
)
def test_names_are_escaped(name: str, wanted: str) -> None:
    assert rules.escaped(name) == wanted


def test_values_are_not_changed_by_rules() -> None:
    value = {"name": "x", "until": "2021-01-01T00:00:00Z", "namespace": "n"}
    before = copy.deepcopy(value)
    rules.Rules(parse(RULED)).validate(value, MISSING)
    assert value == before
