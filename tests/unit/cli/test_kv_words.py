"""The command line of `quorate kv` before anything is sent, and the shapes of its output."""

import pytest

from cli.kv import snapshots
from cli.kv.discovery import name_servers, records
from cli.kv.flags import Flag, FlagError, go_int, parse
from cli.kv.main import run, tree
from cli.kv.session import GLOBAL_FLAGS, Exit
from cli.kv.tree import find, unknown_command
from cli.kv.watching import FLAGS, RequestError, environment, request_from
from cli.kv.words import (
    DELETE_FLAGS,
    GET_FLAGS,
    LineError,
    key_range,
    parse_compare,
    parse_operation,
    section,
    split_words,
)
from cli.output import go_duration, human_bytes
from cli.output_data import go_json, go_quote
from cli.output_table import table
from kvstore.client.types import Compare, Event, KeyValue, OpDelete, OpGet, OpPut

SOME = (
    Flag("prefix", short="p"),
    Flag("limit", "int", 0),
    Flag("write-out", "string", "simple", short="w"),
    Flag("timeout", "duration", 5.0),
    Flag("endpoints", "strings", ["default"]),
)


@pytest.mark.parametrize(
    ("line", "name", "value", "arguments"),
    [
        ("a -w json", "write-out", "json", ["a"]),
        ("a -wjson b", "write-out", "json", ["a", "b"]),
        ("-w=json a", "write-out", "json", ["a"]),
        ("-pw json a", "write-out", "json", ["a"]),
        ("--prefix a", "prefix", True, ["a"]),
        ("--prefix=false a", "prefix", False, ["a"]),
        ("--prefix=T a", "prefix", True, ["a"]),
        ("--limit 0x10 a", "limit", 16, ["a"]),
        ("--timeout=1m30s", "timeout", 90.0, []),
        ("--endpoints a,b --endpoints c", "endpoints", ["a", "b", "c"], []),
        ("a -- --prefix", "prefix", False, ["a", "--prefix"]),
        ("- a", "prefix", False, ["-", "a"]),
    ],
)
def test_flags_as_go_reads_them(line: str, name: str, value: object, arguments: list[str]) -> None:
    found = parse(line.split(), SOME)
    assert (found[name], found.arguments) == (value, arguments)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--zork", "unknown flag: --zork"),
        ("-z", "unknown shorthand flag: 'z' in -z"),
        ("-pz", "unknown shorthand flag: 'z' in -z"),
        ("--limit", "flag needs an argument: --limit"),
        ("-w", "flag needs an argument: 'w' in -w"),
        ("---x", "bad flag syntax: ---x"),
        (
            "--limit=x",
            'invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            "--prefix=maybe",
            'invalid argument "maybe" for "-p, --prefix" flag: strconv.ParseBool: parsing "maybe": '
            "invalid syntax",
        ),
        (
            "--timeout=5",
            'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"',
        ),
    ],
)
def test_wrong_flags_are_named(line: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(line.split(), SOME)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "command", "rest"),
    [
        ("get a", "etcdctl get", ["a"]),
        ("-w json get a", "etcdctl get", ["-w", "json", "a"]),
        ("--hex member list -wtable", "etcdctl member list", ["--hex", "-wtable"]),
        ("member -w json list", "etcdctl member list", ["-w", "json"]),
        ("mem li", "etcdctl member list", []),
        ("member foo", "etcdctl member", ["foo"]),
        (
            "--endpoints=x put a --prefix=true",
            "etcdctl put",
            ["--endpoints=x", "a", "--prefix=true"],
        ),
    ],
)
def test_commands_are_found_among_flags(line: str, command: str, rest: list[str]) -> None:
    found = find(tree(), line.split(), GLOBAL_FLAGS)
    assert (found.line, list(found.words)) == (command, rest)


def test_unknown_commands_suggest_others() -> None:
    assert "\tcompaction" in unknown_command(tree(), "compactio")


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [("7f", {"base": 16}, 127), ("-5", {}, -5), ("12", {"signed": False}, 12)],
)
def test_numbers(text: str, options: dict[str, int], value: int) -> None:
    assert go_int(text, **options) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "x", "1_0", " 1", "0x5", "9" * 30])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"strconv\.ParseInt"):
        go_int(text)


def test_lines_of_a_transaction() -> None:
    assert parse_compare('mod("a b") > "3"') == Compare(b"a b", "mod", ">", 3)
    assert parse_compare('val("k\\x00") != "x"') == Compare(b"k\0", "value", "!=", b"x")
    assert parse_compare('lease("k") = "ff"') == Compare(b"k", "lease", "=", 255)
    assert parse_operation('put k "a value" --prev-kv') == OpPut(b"k", b"a value", prev_kv=True)
    assert parse_operation("get k --prefix --limit 2") == OpGet(b"k", b"l", limit=2)
    assert parse_operation("del k m") == OpDelete(b"k", b"m")
    assert section(iter(["a\n", "b\n", "\n", "c\n"]), str.upper) == ["A", "B"]
    assert split_words("""a "b c" 'd e' "f\\"g\"""") == ["a", "b c", "d e", 'f"g']


def test_input_that_ends_too_early_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        section(iter(["a\n"]), str)
    assert (caught.value.code, capsys.readouterr().err) == (3, "Error: EOF\n")


def test_a_bad_line_is_named_before_the_end_that_follows_it() -> None:
    with pytest.raises(LineError, match="malformed comparison: put k v"):
        section(iter(["put k v\n"]), parse_compare)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "malformed comparison: "),
        ('mod("a" = 1', 'malformed comparison: mod("a" = 1; got mod("a")  ""'),
        ("mod(a) > 0", 'malformed comparison: mod(a) > 0; got mod("")  ""'),
        ('foo("a") = "1"', 'malformed comparison: foo("a") = "1" (unknown target foo)'),
        ('mod("a") = "x"', 'invalid txn compare request: mod("a") = "x"'),
    ],
)
def test_malformed_conditions_are_refused(line: str, message: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_compare(line)
    assert str(caught.value) == message


@pytest.mark.parametrize("line", ["", "frob k", "get", "put", "get k --zork"])
def test_malformed_operations_are_refused(line: str) -> None:
    with pytest.raises(LineError, match="invalid txn"):
        parse_operation(line)


def test_ranges_from_flags() -> None:
    assert key_range([""], parse(["--prefix"], GET_FLAGS)) == (b"\0", b"\0")
    assert key_range(["a"], parse(["--from-key"], GET_FLAGS)) == (b"a", b"\0")
    assert key_range(["a", "b"], parse([], DELETE_FLAGS)) == (b"a", b"b")
    with pytest.raises(Exit):
        key_range(["a", "b"], parse(["--prefix"], GET_FLAGS))


def test_watch_words(monkeypatch: pytest.MonkeyPatch) -> None:
    found = request_from(parse(["a", "b", "--rev", "3", "--", "echo", "hi"], FLAGS))
    assert (found.key, found.range_end, found.revision, found.program) == (
        b"a",
        b"b",
        3,
        ("echo", "hi"),
    )
    assert request_from(parse(["a", "--prefix"], FLAGS)).range_end == b"b"
    with pytest.raises(RequestError, match="no commands"):
        request_from(parse(["a", "--"], FLAGS))
    monkeypatch.setenv("ETCDCTL_WATCH_KEY", "from-environment")
    assert request_from(parse([], FLAGS)).key == b"from-environment"
    with pytest.raises(RequestError, match="conflicting environment key"):
        request_from(parse(["a"], FLAGS))


def test_what_a_watch_tells_its_program() -> None:
    event = Event("PUT", KeyValue(b'a"b', b"\xff"))
    assert environment(event, 7) == {
        "ETCD_WATCH_REVISION": "7",
        "ETCD_WATCH_EVENT_TYPE": '"PUT"',
        "ETCD_WATCH_KEY": '"a\\"b"',
        "ETCD_WATCH_VALUE": '"\\xff"',
    }


def test_service_records_are_read() -> None:
    header = bytes.fromhex("0007 8180 0001 0001 0000 0000")
    question = b"\x05_etcd\x04_tcp\x01x\0" + bytes.fromhex("0021 0001")
    target = bytes.fromhex("0001 0002 094b") + b"\x01h\xc0\x17"
    answer = bytes.fromhex("c00c 0021 0001 0000003c") + len(target).to_bytes(2) + target
    assert list(records(header + question + answer, 7)) == [(1, 2, 2379, "h.x")]
    with pytest.raises(OSError, match="another question"):
        list(records(header + question + answer, 8))
    with pytest.raises(OSError, match="well formed"):
        list(records((header + question + answer)[:-4], 7))
    assert name_servers("# x\nnameserver 10.0.0.1\n") == [("10.0.0.1", 53)]


def test_help_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["get", "--help"]) == 0
    shown = capsys.readouterr()
    assert "--print-value-only" in shown.out
    assert not shown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_all_commands(
    shell: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["completion", shell]) == 0
    assert b"timetolive" in capsysbinary.readouterr().out


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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "write f.part: no space left on device"),
        (
            OSError(2, "No such file or directory", "/n/f.part"),
            "could not open /n/f.part (open /n/f.part: no such file or directory)",
        ),
        (OSError("damaged"), "damaged"),
    ],
)
def test_why_a_snapshot_was_not_saved(error: OSError, words: str) -> None:
    assert snapshots._go_words(error, "f.part") == words
