"""A member that is started on a real etcd's folder goes on with its data, or says why not and how to."""

import fcntl
import shlex
import struct
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import pytest

from kvstore import identity as identities
from kvstore.bootstrap import StartError, prepare_directories
from kvstore.config.reader import MemberConfig, load
from kvstore.etcd_wal import BadWal, Entry, read_wal
from kvstore.machine.commands import MemberAttributes, Put, encode
from kvstore.machine.machine import StateMachine
from kvstore.raft.journal import Journal
from kvstore.restore import snapshot_status
from kvstore.server.etcd_file import write_etcd_file
from kvstore.takeover import take_in

METADATA, ENTRY, STATE, CRC = 1, 2, 3, 4


def message(**fields: int | bytes) -> bytes:
    """A protobuf: f1=…, f2=…; numbers and bytes."""
    out = b""
    for name, value in fields.items():
        number = int(name[1:])
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


PUT = message(f4=b"key value", f100=message(f1=77))
LOGIN = message(f100=message(f1=78), f1012=b"name and password")
RANGE = message(f3=b"key", f100=message(f1=79))
ATTRIBUTES = message(f1=80, f2=b"PUT", f3=b"/0/members/1/attributes", f4=b"{}")
AUTH_ON, AUTH_OFF = (message(f100=message(f1=81), **{name: b"x"}) for name in ("f1000", "f1011"))
UNKNOWN = b"\x0d\x01"


class Wal:
    """Writes a log as etcd does."""

    def __init__(self, member_id: int = 1, cluster_id: int = 2) -> None:
        self.data = b""
        self.checksum = 0
        self._record(CRC, b"", 0)
        self.add(METADATA, message(f1=member_id, f2=cluster_id))

    def add(self, kind: int, body: bytes) -> "Wal":
        self.checksum = google_crc32c.extend(self.checksum, body)
        self._record(kind, body, self.checksum)
        return self

    def _record(self, kind: int, body: bytes, crc: int) -> None:
        record = message(f1=kind, f2=crc, f3=body) if body else message(f1=kind, f2=crc)
        padding = -len(record) % 8
        word = len(record) | ((0x80 | padding) << 56 if padding else 0)
        self.data += struct.pack("<Q", word) + record + bytes(padding)

    def change(self, index: int) -> "Wal":
        """A change of members."""
        return self.add(ENTRY, message(f1=1, f2=1, f3=index, f4=b"member"))

    def put(self, index: int, request: bytes = PUT) -> "Wal":
        return self.add(ENTRY, message(f1=0, f2=2, f3=index, f4=request))

    def empty(self, index: int) -> "Wal":
        """As at the start of a term."""
        return self.add(ENTRY, message(f1=0, f2=2, f3=index))

    def commit(self, index: int) -> "Wal":
        return self.add(STATE, message(f1=2, f2=1, f3=index))


def test_a_log_is_read() -> None:
    wal = Wal(7, 8).change(1).empty(2).put(3).put(4).commit(4)
    found = read_wal([wal.data + bytes(64)])
    assert (found.member_id, found.cluster_id, found.commit) == (7, 8, 4)
    assert list(found.entries) == [1, 2, 3, 4]
    assert [found.changes_behind(index, is_auth_on=False) for index in (4, 3, 1)] == [
        [],
        [4],
        [3, 4],
    ]
    assert not found.was_never_used


@pytest.mark.parametrize(
    ("wal", "expected"),
    [
        pytest.param(Wal().change(1).change(2), True, id="as_restored"),
        pytest.param(Wal().change(1).put(2, ATTRIBUTES), False, id="was_started"),
        pytest.param(Wal().empty(700).change(701), False, id="begins_later"),
        pytest.param(Wal(), False, id="empty"),
    ],
)
def test_a_log_that_was_never_used(wal: Wal, expected: bool) -> None:
    assert read_wal([wal.data]).was_never_used is expected


@pytest.mark.parametrize(
    ("request_bytes", "kind"),
    [
        pytest.param(PUT, Entry.CHANGE, id="put"),
        pytest.param(LOGIN, Entry.HARMLESS, id="login"),
        pytest.param(RANGE, Entry.HARMLESS, id="read"),
        pytest.param(ATTRIBUTES, Entry.HARMLESS, id="member_of_3_4"),
        pytest.param(UNKNOWN, Entry.CHANGE, id="not_understood"),
    ],
)
def test_which_requests_change_something(request_bytes: bytes, kind: Entry) -> None:
    assert read_wal([Wal().put(1, request_bytes).data]).entries == {1: kind}


@pytest.mark.parametrize(
    ("requests", "is_auth_on", "lacking"),
    [
        pytest.param([AUTH_ON], True, [], id="on_and_it_is"),
        pytest.param([AUTH_ON], False, [1], id="on_and_it_is_not"),
        pytest.param([AUTH_ON, AUTH_OFF], False, [], id="on_and_off"),
        pytest.param([AUTH_ON, PUT], True, [2], id="and_a_put"),
    ],
)
def test_the_file_itself_says_whether_authentication_is_on(
    requests: list[bytes], is_auth_on: bool, lacking: list[int]
) -> None:
    wal = Wal()
    for at, request in enumerate(requests):
        wal.put(at + 1, request)
    assert read_wal([wal.data]).changes_behind(0, is_auth_on=is_auth_on) == lacking


def test_overwritten_entries_do_not_count() -> None:
    found = read_wal([Wal().put(1).put(2).put(3).empty(2).data])
    assert found.entries == {1: Entry.CHANGE, 2: Entry.NO_REQUEST}


def test_a_record_that_was_being_written_is_not_part_of_the_log() -> None:
    wal = Wal().put(1)
    before = len(wal.data)
    wal.put(2)
    for size in (before, before + 4, before + 12, len(wal.data) - 9):
        assert read_wal([wal.data[:size]]).entries == {1: Entry.CHANGE}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param([Wal().put(1).data[:-20], Wal().put(2).data], "cut short", id="middle"),
        pytest.param(
            [Wal().put(1).data.replace(b"key value", b"eulav yek")], "checksum", id="flipped"
        ),
        pytest.param([struct.pack("<q", 2) + b"\xff\xff"], "cut short", id="garbage"),
        pytest.param([struct.pack("<q", 3) + b"\x0d\x01\x01"], "wire type", id="other_message"),
    ],
)
def test_damage_is_refused(files: Sequence[bytes], problem: str) -> None:
    with pytest.raises(BadWal, match=problem):
        read_wal(files)


def test_a_log_that_does_not_reach_back_to_the_state_is_refused() -> None:
    with pytest.raises(BadWal, match="entries behind 2 are missing"):
        read_wal([Wal().put(5).data]).changes_behind(2, is_auth_on=False)


# Taking over


def settings(folder: Path, *more: str, members: int = 1) -> MemberConfig:
    cluster = ",".join(f"m{n}=http://127.0.0.1:{n}" for n in range(1, members + 1))
    flags = [
        "--name=m1",
        f"--data-dir={folder}",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
    ]
    return load([*flags, f"--initial-cluster={cluster}", *more], {})


def etcds_folder(folder: Path, wal: Wal, *, members: int = 1) -> Path:
    """As an etcd leaves it: a state that ends with entry 5, and a log."""
    machine = StateMachine()
    for index in range(1, 5):
        machine.apply(index, [encode(Put(b"k%d" % index, b"v"))])
    names = [encode(MemberAttributes(n, f"m{n}", ("http://c",))) for n in range(1, members + 1)]
    machine.apply(5, names)
    (folder / "member" / "snap").mkdir(parents=True)
    (folder / "member" / "wal").mkdir()
    with (folder / "member" / "snap" / "db").open("wb") as file:
        write_etcd_file(machine.snapshot(), file, term=2)
    (folder / "member" / "wal" / "0.wal").write_bytes(wal.data)
    return folder


def restored(config: MemberConfig) -> Wal:
    """The log of a folder that `snapshot restore` made for the member."""
    return Wal(config.member_id, config.cluster_id).change(1).change(2).commit(2)


@pytest.mark.parametrize("members", [1, 3])
def test_a_folder_that_snapshot_restore_made(tmp_path: Path, members: int) -> None:
    config = settings(tmp_path / "d", members=members)
    etcds_folder(tmp_path / "d", restored(config))
    take_in(config)
    found = identities.load(config.data_dir)
    assert found is not None
    assert (found.member_id, found.cluster_id) == (config.member_id, config.cluster_id)
    assert snapshot_status(config.data_dir).revision == 5
    assert (tmp_path / "d" / "member" / "snap" / "db").exists()
    # Once only: from now on the data is ours.
    before = (config.data_dir / identities.FILE_NAME).stat().st_mtime_ns
    take_in(config)
    assert (config.data_dir / identities.FILE_NAME).stat().st_mtime_ns == before


def test_members_restored_from_one_file_are_of_one_history(tmp_path: Path) -> None:
    origins = []
    for name in ("a", "b"):
        config = settings(tmp_path / name, members=3)
        etcds_folder(tmp_path / name, restored(config))
        take_in(config)
        journal = Journal(config.data_dir / "log")
        journal.open()
        origins.append(journal.facts["origin"])
        journal.close()
    assert origins[0] == origins[1]


def test_an_etcd_that_was_alone_and_was_closed_in_order(tmp_path: Path) -> None:
    config = settings(tmp_path / "d")
    wal = Wal().change(1).put(2).put(3).put(4).put(5).empty(6).put(7, LOGIN).commit(7)
    etcds_folder(tmp_path / "d", wal)
    take_in(config)
    assert snapshot_status(config.data_dir).revision == 5


def test_its_log_may_be_elsewhere_and_ours_goes_there(tmp_path: Path) -> None:
    elsewhere = tmp_path / "w"
    config = settings(tmp_path / "d", f"--wal-dir={elsewhere}")
    folder = etcds_folder(tmp_path / "d", restored(config))
    (folder / "member" / "wal").rename(elsewhere)
    folder.chmod(0o700)
    take_in(config)
    prepare_directories(config)
    assert (folder / "log").resolve() == elsewhere
    assert list(elsewhere.glob("*.log"))


def test_an_attempt_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    config = settings(tmp_path / "d")
    folder = etcds_folder(tmp_path / "d", restored(config))
    take_in(config)
    (folder / identities.FILE_NAME).unlink()
    take_in(config)
    assert snapshot_status(folder).revision == 5


@pytest.mark.parametrize(
    ("wal", "members", "problem"),
    [
        pytest.param(Wal().change(1).put(2).put(3).put(4).put(5).put(6), 1,
                     "was not closed in order: 1 of its last requests", id="killed"),
        pytest.param(Wal().change(1).put(2).put(3).put(4).put(5), 3,
                     "one of 3 members", id="of_several"),
        pytest.param(Wal(9, 9).change(1), 1,
                     "was made for member 9 of cluster 9, which the flags do not name", id="restored_for_another"),
        pytest.param(Wal().put(9), 1, "cannot be read \\(entries behind 5 are missing", id="log_lost"),
    ],
)  # fmt: skip
def test_what_may_lack_something_is_refused(
    tmp_path: Path, wal: Wal, members: int, problem: str
) -> None:
    folder = etcds_folder(tmp_path / "my data", wal, members=members)
    config = settings(folder, "--initial-cluster-token=t 1", f"--wal-dir={tmp_path}/w")
    with pytest.raises(StartError, match=problem) as caught:
        take_in(config)
    assert not (folder / identities.FILE_NAME).exists()
    _, _, command = str(caught.value).partition("all the same: ")
    assert shlex.split(command) == [
        *("mv", str(folder), f"{folder}.etcd", "&&"),
        *("quorate", "kv", "snapshot", "restore", f"{folder}.etcd/member/snap/db"),
        *("--skip-hash-check", "--name", "m1"),
        *("--initial-cluster", "m1=http://127.0.0.1:1"),
        *("--initial-cluster-token", "t 1", "--initial-advertise-peer-urls", "http://127.0.0.1:1"),
        *("--data-dir", str(folder), "--wal-dir", f"{tmp_path}/w"),
    ]


def test_an_etcd_that_runs_and_a_folder_without_a_file(tmp_path: Path) -> None:
    config = settings(tmp_path / "d")
    folder = etcds_folder(tmp_path / "d", restored(config))
    database = folder / "member" / "snap" / "db"
    with database.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StartError, match="that etcd still runs"):
            take_in(config)
    database.unlink()
    with pytest.raises(StartError, match=r"but no .*/db: move the folder away"):
        take_in(config)


def test_without_an_etcds_folder_nothing_happens(tmp_path: Path) -> None:
    take_in(settings(tmp_path))
    assert not list(tmp_path.iterdir())
