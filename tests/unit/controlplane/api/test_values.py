"""Quantities, times, names and selectors: the small values of the API."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import names, quantity, times
from controlplane.api.errors import BadRequest
from controlplane.api.selectors import (
    LabelSelector,
    parse_field_selector,
    parse_label_selector,
)
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        ("1024Ki", "1Mi"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1e3"),
        ("0.1n", "1n"),
        ("1.5Ki", "1536"),
        ("0", "0"),
        (2, "2"),
    ],
)
def test_quantity_is_stored_in_canonical_form(written: str | int, stored: str) -> None:
    assert quantity.canonical(written) == stored


@given(st.integers(-(10**15), 10**15), st.sampled_from(["m", "", "k", "Ki", "Mi", "G"]))
def test_canonical_quantity_keeps_its_value(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert quantity.parse(quantity.canonical(text)) == quantity.parse(text)


@pytest.mark.parametrize("text", ["", "x", "1KiB", "1 Gi", "1.2.3", "--1"])
def test_malformed_quantity_is_refused(text: str) -> None:
    assert not quantity.is_valid(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (601, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (50 * 3600, "2d2h"),
        (10 * 86400, "10d"),
        (800 * 86400, "2y70d"),
    ],
)
def test_age_has_the_units_kubectl_shows(seconds: float, shown: str) -> None:
    assert times.human_duration(seconds) == shown


@given(st.integers(0, 4_000_000_000))
def test_time_survives_text(seconds: int) -> None:
    assert times.parse(times.to_rfc3339(seconds)) == seconds


def test_generated_name_uses_safe_letters_and_fits_a_label() -> None:
    name = names.generate_name("x" * 80, Random(1))
    assert len(name) == 63
    assert set(name[-5:]) <= set(names.SAFE_ALPHABET)


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ("a=b", {"a": "b"}, True),
        ("a!=b", {}, True),
        ("a in (b, c),d", {"a": "c", "d": ""}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("!a", {"a": ""}, False),
        ("a>3", {"a": "4"}, True),
        ("x.io/a==b", {"x.io/a": "b"}, True),
        ("", {"a": "b"}, True),
    ],
)
def test_label_selector_selects(selector: str, labels: dict[str, str], selected: bool) -> None:
    parsed = parse_label_selector(selector)
    assert parsed.matches(labels) is selected
    assert parse_label_selector(str(parsed)).matches(labels) is selected


@pytest.mark.parametrize("text", ["a in b", "a=b,", "a in (b", "=b", "a b"])
def test_malformed_label_selector_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_label_selector(text)


def test_absent_selector_selects_nothing_and_empty_everything() -> None:
    assert not LabelSelector.from_object(None).matches({"a": "b"})
    assert LabelSelector.from_object({}).matches({})


def test_field_selector_reads_fields_of_the_kind() -> None:
    pods = SCHEME.kind_of(PODS)
    pod = {"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    parsed = parse_field_selector("spec.nodeName=n,status.phase!=Failed")
    parsed.check(pods.field_labels, pods.field_label_refusal)
    assert parsed.matches(pod, pods.field_text)
    assert parsed.exact("spec.nodeName") == "n"
    with pytest.raises(BadRequest, match="field label not supported"):
        parse_field_selector("spec.foo=1").check(pods.field_labels, pods.field_label_refusal)


def test_unset_boolean_field_is_false() -> None:
    nodes = SCHEME.kind_of(NODES)
    assert parse_field_selector("spec.unschedulable=false").matches(
        {"metadata": {}}, nodes.field_text
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("+0", 0.0), ("1h5m", 3900.0), ("-1.5s", -1.5), (".5m", 30.0), ("2µs", 2e-6)],
)
def test_durations_as_go_reads_them(text: str, seconds: float) -> None:
    assert times.parse_go_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid duration"),
        ("5", "missing unit in duration"),
        ("1.5", "missing unit in duration"),
        ("s", "invalid duration"),
        ("1d", 'unknown unit "d" in duration'),
        ("1s ", 'unknown unit "s " in duration'),
        ("--1s", "invalid duration"),
        ("1s0", "missing unit in duration"),
        ("٣s", "invalid duration"),
    ],
)
def test_what_is_no_duration_is_told_in_gos_words(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=rf'^time: {problem} "{text}"$'):
        times.parse_go_duration(text)
