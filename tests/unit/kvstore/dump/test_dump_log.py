"""`kvstore dump-log`: every record in words, filters, and damage with its place."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvstore.dump.command import run
from kvstore.machine import commands
from kvstore.raft import segment
from kvstore.raft.journal import Journal
from kvstore.raft.proposals import encode_entry

PUT = commands.Put(b"k/1", b"secret words", lease=7)
TXN = commands.Txn(
    compares=(commands.Compare(3, 0, b"k/1", value=b"x"),),
    success=(commands.Put(b"k/2", b"y"),),
    failure=(commands.Range(b"k/1"),),
)
SIGNED = commands.Signed(commands.DeleteRange(b"k/1", b"k/2"), user="ann", auth_revision=3)
ENABLE = commands.AuthEnable(b"the secret of all")


def written(tmp_path: Path) -> Path:
    """A data directory: the term's first entry, four commands in three entries, a cut, one entry again."""
    journal = Journal(tmp_path / "log")
    journal.open()
    journal.set_term(2, None)
    entries = [[b"\0"], [PUT], [TXN, SIGNED], [ENABLE]]
    for index, said in enumerate(entries, start=2):
        data = b"\x01" if said == [b"\0"] else pack(said)
        journal.append(data, index, 2)
        journal.flush()
    journal.truncate(4)
    journal.append(pack([commands.LeaseGrant(9, 60)]), 5, 3)
    journal.flush()
    journal.close()
    return tmp_path


def pack(said: list[Any]) -> bytes:
    numbers = list(range(11, 11 + len(said)))
    return encode_entry([(0xAB, 3 << 40, numbers, [commands.encode(one) for one in said])])


def dumped(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    code = run(["dump-log", "--json", *words])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_record_is_there_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = dumped(capsys, str(written(tmp_path)))
    assert code == 0
    shown = [(row["kind"], row["index"], row["term"]) for row in rows]
    assert shown == [
        ("segment", 1, 0),
        ("entry", 2, 2),
        ("entry", 3, 2),
        ("entry", 4, 2),
        ("entry", 5, 2),
        ("truncate", 4, 2),
        ("entry", 5, 3),
    ]
    assert rows[1]["no_op"]
    [put] = rows[2]["commands"]
    assert put["key"] == "k/1"
    assert put["value"] == "12 bytes"
    assert put["lease"] == 7
    assert put["proposed"] == {"member": "ab", "boot": 3, "number": 11}
    txn, delete = rows[3]["commands"]
    assert [one["command"] for one in (*txn["success"], *txn["failure"])] == ["Put", "Range"]
    assert txn["compares"][0]["key"] == "k/1"
    assert delete["command"] == "DeleteRange"
    assert delete["by"]["user"] == "ann"


@pytest.mark.parametrize("values", [(), ("--values",)], ids=["usually", "with_values"])
def test_what_gives_rights_is_never_shown(
    values: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = dumped(capsys, *values, str(written(tmp_path)))
    assert rows[4]["commands"][0]["secret"] == "hidden"
    shown = rows[2]["commands"][0]["value"]
    assert shown == ("secret words" if values else "12 bytes")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--start-index", "5"], [1, 5, 5], id="start_index"),
        pytest.param(["--start-index", "3", "--end-index", "5"], [1, 3, 4, 4], id="end_index"),
        pytest.param(["--entry-type", "put"], [3], id="a_command"),
        pytest.param(["--entry-type", "DeleteRange,leasegrant"], [4, 5], id="commands"),
        pytest.param(["--entry-type", "truncate"], [4], id="a_kind"),
        pytest.param(["--limit", "2"], [1, 2], id="limit"),
    ],
)
def test_filters(
    words: list[str], expected: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = dumped(capsys, *words, str(written(tmp_path)))
    assert code == 0
    assert [row["index"] for row in rows] == expected


def test_of_an_entry_only_the_commands_asked_for_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, [row] = dumped(capsys, "--entry-type", "deleterange", str(written(tmp_path)))
    assert [one["command"] for one in row["commands"]] == ["DeleteRange"]


def test_a_damaged_record_is_named_and_what_follows_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = dumped(capsys, str(written(tmp_path)))
    path, offset = Path(rows[2]["file"]), rows[2]["offset"]
    data = bytearray(path.read_bytes())
    data[offset + segment.RECORD_BYTES + 3] ^= 1
    path.write_bytes(data)
    code, found = dumped(capsys, "--limit", "1", str(tmp_path))
    assert code == 1
    assert [row["kind"] for row in found] == ["segment", "damaged"]
    assert (found[1]["file"], found[1]["offset"]) == (str(path), offset)
    assert found[1]["bytes"] == rows[3]["offset"] - offset
    _, found = dumped(capsys, str(tmp_path))
    assert [row["kind"] for row in found][3:] == ["entry", "entry", "truncate", "entry"]
    assert run(["dump-log", str(path)]) == 1
    assert f"DAMAGED {path}@{offset}: a record does not match" in capsys.readouterr().out


def test_what_a_crash_left_at_the_end_is_no_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = dumped(capsys, str(written(tmp_path)))
    path, offset = Path(rows[-1]["file"]), rows[-1]["offset"]
    data = bytearray(path.read_bytes())
    data[offset + segment.RECORD_BYTES + 3] ^= 1
    path.write_bytes(data)
    code, found = dumped(capsys, str(tmp_path))
    assert code == 0
    assert (found[-1]["kind"], found[-1]["offset"]) == ("torn", offset)


def test_a_header_that_does_not_check_is_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = dumped(capsys, str(written(tmp_path)))
    path = Path(rows[0]["file"])
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    code, found = dumped(capsys, str(path))
    assert code == 1
    assert (found[0]["kind"], found[0]["offset"]) == ("damaged", 0)
    assert len(found) == len(rows)


def test_commands_of_later_versions_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "log")
    journal.open()
    later = msgspec.msgpack.encode(["zz", b"key", 4])
    longer = msgspec.msgpack.encode(["lr", 8, "why"])
    journal.append(encode_entry([(1, 1 << 40, [1, 2, 3], [later, longer, b"\xc1"])]), 2, 1)
    journal.flush()
    journal.close()
    code, [_, row] = dumped(capsys, str(tmp_path))
    assert code == 0
    first, second, third = row["commands"]
    assert (first["command"], first["field 0"], first["field 1"]) == ("unknown 'zz'", "key", 4)
    assert (second["id"], second["field 1"]) == (8, "why")
    assert third["undecodable"]


def test_words_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dump-log", "--start-index", "3", "--limit", "2", str(written(tmp_path))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("@")[1].startswith("112 entry index=3 term=2 group=2")
    assert lines[2].startswith('    Put key="k/1" value="12 bytes" lease=7 proposed={member=ab')


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["/nowhere"], 1, "no such file /nowhere"),
        (["--start-index", "x", "y"], 2, "--start-index x: expected a number"),
        ([], 2, "PATH"),
        (["--bogus", "y"], 2, "--bogus"),
    ],
)
def test_refusals(
    words: list[str], code: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dump-log", *words]) == code
    assert problem in capsys.readouterr().err


def test_a_folder_without_segments_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dump-log", str(tmp_path)]) == 1
    assert f"no segments (*.log) in {tmp_path}" in capsys.readouterr().err
