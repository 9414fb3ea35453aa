"""A disk with faults does what a broken disk does, and nothing when none is set."""

import errno
import os
import random
from pathlib import Path

import pytest

from kvstore.base.files import Files
from kvstore.faults.disk import SECTOR_BYTES, FaultFiles
from kvstore.faults.kinds import DiskFault
from kvstore.raft.journal import Journal


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def files(waits: Waits) -> FaultFiles:
    return FaultFiles(Files(), random.Random(1), waits)


def test_without_a_fault_files_are_plain(tmp_path: Path, files: FaultFiles, waits: Waits) -> None:
    files.write_whole(tmp_path / "a", b"hello")
    assert (tmp_path / "a").read_bytes() == b"hello"
    assert waits == []


def test_slow_fsync_waits_before_each_sync(tmp_path: Path, files: FaultFiles, waits: Waits) -> None:
    files.fault = DiskFault(slow_fsync_seconds=0.5)
    files.write_whole(tmp_path / "a", b"hello")
    assert waits == [0.5, 0.5]  # the file and its folder


def test_failing_fsync_is_eio_and_the_write_is_not_there_on_a_forgetful_disk(
    tmp_path: Path, files: FaultFiles
) -> None:
    descriptor = files.create(tmp_path / "a")
    files.fault = DiskFault(fail_fsync=True, torn_on_kill=True)
    files.write_at(descriptor, b"x" * 8 * SECTOR_BYTES, 0)
    with pytest.raises(OSError) as caught:
        files.sync_data(descriptor)
    assert caught.value.errno == errno.EIO
    files.fault = DiskFault()
    files.sync_data(descriptor)
    assert (tmp_path / "a").read_bytes() != b"x" * 8 * SECTOR_BYTES
    files.close(descriptor)


def test_a_full_disk_takes_what_lies_within_the_file(tmp_path: Path, files: FaultFiles) -> None:
    descriptor = files.create(tmp_path / "a")
    files.write_at(descriptor, b"\0" * 100, 0)
    files.fault = DiskFault(full=True)
    files.write_at(descriptor, b"inside", 50)
    for grow in (
        lambda: files.write_at(descriptor, b"beyond", 98),
        lambda: files.truncate(descriptor, 200),
    ):
        with pytest.raises(OSError) as caught:
            grow()
        assert caught.value.errno == errno.ENOSPC
    files.close(descriptor)
    assert (tmp_path / "a").stat().st_size == 100


def test_a_read_only_disk_refuses_all_that_writes(tmp_path: Path, files: FaultFiles) -> None:
    descriptor = files.create(tmp_path / "a")
    files.fault = DiskFault(read_only=True)
    for write in (
        lambda: files.create(tmp_path / "b"),
        lambda: files.open(tmp_path / "a"),
        lambda: files.write_at(descriptor, b"x", 0),
        lambda: files.truncate(descriptor, 0),
        lambda: files.rename(tmp_path / "a", tmp_path / "c"),
        lambda: files.remove(tmp_path / "a"),
    ):
        with pytest.raises(OSError) as caught:
            write()
        assert caught.value.errno == errno.EROFS
    files.close(descriptor)
    assert sorted(os.listdir(tmp_path)) == ["a"]


def test_a_torn_write_reaches_the_file_in_whole_sectors_and_whole_with_its_sync(
    tmp_path: Path, files: FaultFiles, waits: Waits
) -> None:
    data = b"".join(bytes([number]) * SECTOR_BYTES for number in range(1, 33))
    descriptor = files.create(tmp_path / "a")
    files.write_at(descriptor, b"\0" * len(data), 0)
    files.fault = DiskFault(torn_on_kill=True)
    files.write_at(descriptor, data, 0)
    seen = (tmp_path / "a").read_bytes()
    sectors = [seen[at : at + SECTOR_BYTES] for at in range(0, len(seen), SECTOR_BYTES)]
    whole = [data[at : at + SECTOR_BYTES] for at in range(0, len(data), SECTOR_BYTES)]
    written = [one == other for one, other in zip(sectors, whole, strict=True)]
    assert any(written), "no sector survived"
    assert not all(written), "nothing was torn"
    assert all(ok or one == b"\0" * SECTOR_BYTES for ok, one in zip(written, sectors, strict=True))
    files.sync_data(descriptor)
    assert (tmp_path / "a").read_bytes() == data
    assert waits, "a forgetful disk takes its time, or kills would find nothing to tear"
    files.close(descriptor)


def test_a_rename_waits_for_the_folders_sync(tmp_path: Path, files: FaultFiles) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    files.fault = DiskFault(torn_on_kill=True)
    files.rename(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"old"
    files.sync_directory(tmp_path)
    assert (tmp_path / "old").read_bytes() == b"new"


@pytest.mark.parametrize("seed", range(40))
def test_the_journal_survives_a_power_loss_at_any_write(tmp_path: Path, seed: int) -> None:
    """Sectors of the last group may be missing in any combination: it is cut, and nothing before it is."""

    class PowerLoss(Exception):
        pass

    rng = random.Random(seed)
    lost_at = rng.randrange(3, 30)
    syncs = 0

    def sleep(seconds: float) -> None:
        nonlocal syncs
        syncs += 1
        if syncs >= lost_at:
            raise PowerLoss

    files = FaultFiles(Files(), rng, sleep)
    journal = Journal(tmp_path, files, segment_bytes=16 << 10)
    journal.open()
    files.fault = DiskFault(torn_on_kill=True)
    durable = journal.durable_index

    def write_on() -> None:
        nonlocal durable
        for index in range(2, 500):
            journal.append(rng.randbytes(rng.randrange(1, 3000)), index, 1)
            if rng.randrange(3) == 0:
                journal.set_term(index, "someone")
            if rng.randrange(2) == 0:
                journal.flush()
                durable = journal.durable_index

    with pytest.raises(PowerLoss):
        write_on()
    again = Journal(tmp_path, Files(), segment_bytes=16 << 10)
    again.open()
    assert again.last_index >= durable
    for entry in again.entries[1:]:
        assert entry == journal.entries[entry[1] - journal.base_index]
    again.close()
