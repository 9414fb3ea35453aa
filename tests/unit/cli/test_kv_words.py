"""The command line of `quorate kv` before anything is sent, and the shapes of its output."""

import pytest

from cli.kv_session import globals_first
from cli.kv_text import key_range, parse_compare, parse_operation, section
from cli.output import go_duration, human_bytes, table
from cli.output_data import go_json, go_quote
from kvstore.client.types import Compare, OpDelete, OpGet, OpPut


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get a -w json", "-w json get a"),
        ("get a --endpoints=x --prefix=true", "--endpoints=x get a --prefix"),
        ("get a --prefix=false --hex", "--hex get a"),
        ("put a -- --hex", "put a -- --hex"),
        ("member list -wtable", "-wtable member list"),
    ],
)
def test_global_options_stand_anywhere(line: str, expected: str) -> None:
    assert " ".join(globals_first(line.split())) == expected


def test_lines_of_a_transaction() -> None:
    assert parse_compare('mod("a b") > "3"') == Compare(b"a b", "mod", ">", 3)
    assert parse_compare("val(k) != x") == Compare(b"k", "value", "!=", b"x")
    assert parse_operation('put k "a value" --prev-kv') == OpPut(b"k", b"a value", prev_kv=True)
    assert parse_operation("get k --prefix --limit 2") == OpGet(b"k", b"l", limit=2)
    assert parse_operation("del k m") == OpDelete(b"k", b"m")
    assert section(iter(["a\n", "b\n", "\n", "c\n"])) == ["a", "b"]


@pytest.mark.parametrize("line", ["", "mod(", "foo(a) = 1", "mod(a) = x", "mod a = 1"])
def test_malformed_conditions_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|invalid"):
        parse_compare(line)


@pytest.mark.parametrize("line", ["", "frob k", "get", "put k", "get k --zork", 'put k "'])
def test_malformed_operations_are_refused(line: str) -> None:
    with pytest.raises(ValueError):
        parse_operation(line)


def test_ranges_from_flags() -> None:
    assert key_range(b"", b"", is_prefix=True, is_from_key=False) == (b"\0", b"\0")
    assert key_range(b"a", b"", is_prefix=False, is_from_key=True) == (b"a", b"\0")
    with pytest.raises(ValueError, match="too many arguments"):
        key_range(b"a", b"b", is_prefix=True, is_from_key=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (907.52e-6, "907.52µs"),
        (0.001025323, "1.025323ms"),
        (5.00116991, "5.00116991s"),
        (62, "1m2s"),
    ],
)
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 B"), (20480, "20 kB"), (1_200_000, "1.2 MB"), (6_991_872, "7.0 MB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_bytes(size) == text


def test_go_escapes() -> None:
    assert go_quote(b'\xff\x01\n"a\\\xc3\xa9') == r'"\xff\x01\n\"a\\é"'
    assert go_json({"a": "<&>"}) == b'{"a":"\\u003c\\u0026\\u003e"}\n'


def test_tables_are_centred_above_and_right_below() -> None:
    assert table(("ID", "NAME"), [["abcde", "x"]]).decode().splitlines() == [
        "+-------+------+",
        "|  ID   | NAME |",
        "+-------+------+",
        "| abcde |    x |",
        "+-------+------+",
    ]
