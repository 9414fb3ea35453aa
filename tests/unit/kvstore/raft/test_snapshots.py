"""Snapshots: only what was written whole is ever read."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.raft.replicator import DamagedData
from kvstore.raft.snapshots import Snapshot, SnapshotStore, read_chunks

CHUNKS = [b"one", b"", b"three" * 100]


def stored(directory: Path, index: int = 9) -> tuple[SnapshotStore, Snapshot]:
    store = SnapshotStore(directory)
    store.open()
    writer = store.writer(index, 2)
    for chunk in CHUNKS:
        writer.add(chunk)
    snapshot = writer.finish()
    store.publish(snapshot)
    return store, snapshot


def test_what_is_written_is_read(tmp_path: Path) -> None:
    stored(tmp_path)
    again = SnapshotStore(tmp_path)
    again.open()
    assert again.latest is not None
    assert (again.latest.index, again.latest.term) == (9, 2)
    assert list(read_chunks(again.latest)) == CHUNKS


def test_unfinished_files_are_removed_and_only_the_newest_stays(tmp_path: Path) -> None:
    store, _ = stored(tmp_path)
    store.writer(20, 2).add(b"half")
    store, _ = stored(tmp_path, index=11)
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".snap"]
    assert store.latest is not None
    assert store.latest.index == 11


def test_pieces_must_come_in_order_from_zero(tmp_path: Path) -> None:
    _, snapshot = stored(tmp_path / "a")
    data = snapshot.path.read_bytes()
    other = SnapshotStore(tmp_path / "b")
    other.open()
    receiver = other.receiver(9, 2, len(data))
    assert not receiver.add(5, data[5:])
    assert receiver.add(0, data[:5])
    assert not receiver.add(0, data[:5])
    assert receiver.add(5, data[5:])
    assert receiver.is_complete
    assert list(read_chunks(receiver.finish())) == CHUNKS


def test_a_damaged_arrival_never_gets_its_name(tmp_path: Path) -> None:
    _, snapshot = stored(tmp_path / "a")
    data = bytearray(snapshot.path.read_bytes())
    data[60] ^= 1
    other = SnapshotStore(tmp_path / "b")
    other.open()
    receiver = other.receiver(9, 2, len(data))
    receiver.add(0, bytes(data))
    with pytest.raises(DamagedData):
        receiver.finish()
    assert not list((tmp_path / "b").iterdir())


@settings(max_examples=80, deadline=None)
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_is_found(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int, cut: bool
) -> None:
    _, snapshot = stored(tmp_path_factory.mktemp("damage"))
    data = bytearray(snapshot.path.read_bytes())
    position %= len(data)
    if cut:
        del data[position:]
    else:
        data[position] ^= 1 << bit
    snapshot.path.write_bytes(data)
    with pytest.raises(DamagedData):
        list(read_chunks(snapshot))
