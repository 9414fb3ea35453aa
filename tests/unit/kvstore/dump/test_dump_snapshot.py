"""`kvstore dump-snapshot`: every version of a snapshot, one by one, and damage with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvstore.dump.command import run
from kvstore.machine import commands
from kvstore.machine.machine import StateMachine
from kvstore.raft.snapshots import SnapshotStore

TRAILER_BYTES = 16


def written(tmp_path: Path, value: bytes = b"v" * 40) -> Path:
    """A data directory with a snapshot of a lease, three keys, one of them deleted, compacted at 3."""
    machine = StateMachine()
    said: list[commands.Command] = [
        commands.LeaseGrant(7, 60),
        commands.Put(b"a", value, lease=7),
        commands.Put(b"b", value),
        commands.Put(b"c", value),
        commands.DeleteRange(b"c"),
        commands.Compact(3),
    ]
    for index, command in enumerate(said, start=2):
        machine.apply(index, [commands.encode(command)])
    store = SnapshotStore(tmp_path / "snapshots")
    store.open()
    writer = store.writer(len(said) + 1, 2)
    for chunk in machine.snapshot():
        writer.add(chunk)
    writer.finish()
    return tmp_path


def dumped(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    code = run(["dump-snapshot", "--json", *words])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_record_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = dumped(capsys, str(written(tmp_path)))
    assert code == 0
    assert [row["kind"] for row in rows] == ["head", *2 * ["base"], *3 * ["version"], "tail"]
    assert rows[0]["leases"] == [[7, 60, 0]]
    assert rows[0]["revision"] == 5
    assert rows[0]["auth"] == "hidden"
    assert [(row["key"], row["mod_revision"]) for row in rows[1:-1]] == [
        ("a", 2),
        ("b", 3),
        ("b", 3),
        ("c", 4),
        ("c", 5),
    ]
    assert rows[1]["value"] == "40 bytes"
    assert rows[-1]["revision_count"] == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--start-revision", "4"], ["c", "c"]),
        (["--end-revision", "4"], ["a", "b", "b"]),
        (["--entry-type", "base"], ["a", "b"]),
        (["--entry-type", "version", "--limit", "2"], ["b", "c"]),
    ],
    ids=["from", "below", "kind", "limit"],
)
def test_filters(
    words: list[str], expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = dumped(capsys, *words, str(written(tmp_path)))
    assert code == 0
    assert [row["key"] for row in rows if "key" in row] == expected


def test_a_damaged_chunk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = (written(tmp_path) / "snapshots").glob("*.snap")
    _, rows = dumped(capsys, str(path))
    data = bytearray(path.read_bytes())
    place = rows[1]["offset"]
    # In a value: the record can still be read, but not believed.
    at = data.index(b"v" * 40)
    data[at] ^= 1
    path.write_bytes(data)
    code, found = dumped(capsys, str(path), "--limit", "1")
    assert code == 1
    assert [(row["kind"], row["offset"]) for row in found] == [
        ("head", rows[0]["offset"]),
        ("damaged", place),
        ("damaged", len(data) - TRAILER_BYTES),
    ]
    assert all(row["file"] == str(path) for row in found)


@pytest.mark.parametrize(
    ("cut", "problem"),
    [(-20, "cut short"), (10, "header"), (40, "cut short")],
    ids=["in_the_tail", "in_the_header", "in_the_first_chunk"],
)
def test_a_file_that_is_cut_short_is_damaged(
    cut: int, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [path] = (written(tmp_path) / "snapshots").glob("*.snap")
    path.write_bytes(path.read_bytes()[:cut])
    code, rows = dumped(capsys, str(path))
    assert code == 1
    assert any(problem in row["problem"] for row in rows if row["kind"] == "damaged")


def test_chunks_need_not_end_where_records_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SnapshotStore(tmp_path)
    machine = StateMachine()
    machine.apply(2, [commands.encode(commands.Put(b"a", b"1"))])
    state = b"".join(machine.snapshot())
    store.open()
    writer = store.writer(2, 1)
    for at in range(0, len(state), 7):
        writer.add(state[at : at + 7])
    writer.finish()
    code, rows = dumped(capsys, str(tmp_path))
    assert code == 0
    assert [row["kind"] for row in rows] == ["head", "version", "tail"]


def test_the_newest_of_a_folder_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dump-snapshot", str(tmp_path)]) == 1
    assert f"no snapshot (*.snap) in {tmp_path}" in capsys.readouterr().err
    folder = written(tmp_path) / "snapshots"
    [path] = folder.glob("*.snap")
    path.with_name("0000000000000001-0000000000000001.snap").write_bytes(b"older")
    _, rows = dumped(capsys, str(folder))
    assert rows[0]["file"] == str(path)
