"""Snapshot files as clients save them: what they hold, and data directories made from them.

A file is what Maintenance.Snapshot streams, here and in etcd: etcd's own file (`kvstore.server.etcd_file`) and the
SHA-256 of it, which is how clients tell a whole file from a cut one. So files of a real etcd are restored too. A
member's own snapshot (`DATA_DIR/snapshots/*.snap`, framed by `kvstore.raft.snapshots`) or its data directory can be
asked for its status too, also while the member runs.

Restoring follows etcd: the cluster that comes up has new ids, from the URLs and the token given, so that no member of
the old one is let in by mistake; revisions, leases, users and alarms stay. Every member restores from the same file.
"""

import hashlib
import mmap
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from kvstore.bbolt.reader import Reader
from kvstore.identity import Identity
from kvstore.machine import snapshot as states
from kvstore.raft.files import Files
from kvstore.raft.journal import Journal
from kvstore.raft.replicator import DamagedData
from kvstore.raft.snapshots import Snapshot, SnapshotWriter, read_chunks
from kvstore.server.etcd_file import KEY, read_etcd_file
from kvstore.service.cluster import cluster_id_of, member_id_of

_BLOCK_BYTES = 512
_PIECE_BYTES = 1 << 20
_FRAMED_MAGIC = b"QUORSNP1"
_RESTORED_TERM = 1
_FIRST_INDEX = 2
"""An empty log ends at 1; what is restored must be news to it."""


class RestoreError(Exception):
    """The snapshot or the target cannot be used; the message says why and where."""


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """What `snapshot status` tells: 32-bit hash, newest revision, number of keys, size of the file in bytes.

    `total_keys` counts versions with tombstones, as etcd's does. Can be unpacked like a tuple.
    """

    hash: int
    revision: int
    total_keys: int
    total_size: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.hash, self.revision, self.total_keys, self.total_size))


def snapshot_status(path: Path) -> SnapshotStatus:
    """What is in a saved snapshot, a member's own one, or the newest of a data directory. Raises RestoreError."""
    file = _newest_in(path) if path.is_dir() else path
    if _is_framed(file):
        store = read_state(file, skip_hash_check=False).store
        total = sum(1 for _ in store.all_versions())
        return SnapshotStatus(store.digest(), store.revision, total, file.stat().st_size)
    with _opened(file, skip_hash_check=not _has_hash(file)) as reader:
        return _status_of(reader)


def _status_of(reader: Reader) -> SnapshotStatus:
    """The numbers that etcdctl makes of the same file."""
    total = revision = checksum = 0
    for name in reader.names:
        checksum = google_crc32c.extend(checksum, name)
        for key, value in reader.items(name):
            checksum = google_crc32c.extend(checksum, key)
            checksum = google_crc32c.extend(checksum, value)
            total += 1
            if name == KEY:
                revision = int.from_bytes(key[:8], "big")
    return SnapshotStatus(checksum, revision, total, reader.size_bytes)


def restore(
    path: Path,
    data_dir: Path,
    *,
    name: str = "default",
    initial_cluster: Mapping[str, Sequence[str]] | None = None,
    token: str = "etcd-cluster",
    peer_urls: Sequence[str] = ("http://localhost:2380",),
    skip_hash_check: bool = False,
    wal_dir: Path | None = None,
) -> Identity:
    """Make `data_dir` for member `name` out of the snapshot at `path`; who it is now. Raises RestoreError.

    `initial_cluster`: peer URLs by member name, all members; without it `name` is alone with `peer_urls`.
    """
    members = {one: tuple(urls) for one, urls in (initial_cluster or {name: peer_urls}).items()}
    if name not in members:
        raise RestoreError(
            f'couldn\'t find local name "{name}" in the initial cluster configuration'
        )
    if sorted(members[name]) != sorted(peer_urls):
        raise RestoreError(
            f"--initial-cluster has {name}={','.join(members[name])} but missing from "
            f"--initial-advertise-peer-urls={','.join(peer_urls)}"
        )
    _require_empty(data_dir, "data-dir")
    if wal_dir is not None:
        _require_empty(wal_dir, "wal-dir")
    state = read_state(path, skip_hash_check=skip_hash_check)
    ids = {one: member_id_of(urls, token) for one, urls in members.items()}
    if len(set(ids.values())) != len(ids):
        raise RestoreError("--initial-cluster: two members have the same URLs")
    identity = Identity(
        member_id=ids[name],
        cluster_id=cluster_id_of(list(ids.values())),
        name=name,
        peer_urls={ids[one]: urls for one, urls in members.items()},
    )
    write_member(state, data_dir, wal_dir, identity)
    return identity


def _require_empty(directory: Path, flag: str) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RestoreError(f'{flag} "{directory}" not empty or could not be read')


def write_member(
    state: states.State, data_dir: Path, wal_dir: Path | None, identity: Identity
) -> None:
    """Make `data_dir`, which holds nothing of this store, a member's that begins with `state`. Raises OSError."""
    # Names and addresses of the old members mean nothing now; each new one says its own at its first start.
    state.members = {}
    state.peer_urls = {}
    state.downgrade = ""
    state.configuration = b""
    state.applied_index = max(state.applied_index, _FIRST_INDEX)
    files = Files()
    log_dir = data_dir / "log"
    snapshots = data_dir / "snapshots"
    for directory in (data_dir, snapshots):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if wal_dir is not None:
        wal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_dir.symlink_to(wal_dir.resolve(), target_is_directory=True)
    writer = SnapshotWriter(snapshots, state.applied_index, _RESTORED_TERM, files)
    try:
        for chunk in states.write(state):
            writer.add(chunk)
        writer.finish()
    except BaseException:
        writer.abort()
        raise
    journal = Journal(log_dir, files)
    journal.open()
    try:
        journal.reset(state.applied_index, _RESTORED_TERM)
        journal.set_term(_RESTORED_TERM, None)
        journal.set_fact("store", f"{secrets.randbits(64):016x}")
        journal.set_fact("caught_up", "yes")
        # Members restored from different files are not of one history.
        store = state.store
        journal.set_fact("origin", f"{store.revision & 0xFFFFFFFF:08x}{store.digest():08x}")
        journal.flush()
    finally:
        journal.close()
    # Last: a directory without it was not finished.
    identity.save(data_dir, files)


def _newest_in(data_dir: Path) -> Path:
    found = sorted((data_dir / "snapshots").glob("*.snap"))
    if not found:
        raise RestoreError(f"{data_dir} has no snapshot: the member has not written one yet")
    return found[-1]


def _is_framed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_FRAMED_MAGIC)) == _FRAMED_MAGIC
    except OSError as error:
        raise RestoreError(f"{path}: {error.strerror}") from error


def read_state(path: Path, *, skip_hash_check: bool) -> states.State:
    """The state in a snapshot file, etcd's or a member's own. Raises RestoreError."""
    if not _is_framed(path):
        with _opened(path, skip_hash_check=skip_hash_check) as reader:
            return read_etcd_file(reader)
    try:
        index, _, term = path.stem.partition("-")
        framed = Snapshot(int(index, 16), int(term, 16), path.stat().st_size, path)
        return states.read(read_chunks(framed))
    except OSError as error:
        raise RestoreError(f"{path}: {error.strerror}") from error
    except (ValueError, DamagedData) as error:
        raise RestoreError(f"{path}: {error}") from error


@contextmanager
def _opened(path: Path, *, skip_hash_check: bool) -> Iterator[Reader]:
    """etcd's file, mapped; a damaged one is a RestoreError, now or while it is read."""
    try:
        if not skip_hash_check:
            _check_hash(path)
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise RestoreError(f"{path}: it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield Reader(data)
    except OSError as error:
        raise RestoreError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RestoreError(f"{path}: {error}") from error


def _has_hash(path: Path) -> bool:
    """Pages are whole blocks, so what remains of one is the checksum's."""
    return path.stat().st_size % _BLOCK_BYTES == hashlib.sha256().digest_size


def _check_hash(path: Path) -> None:
    size = path.stat().st_size
    digest = hashlib.sha256()
    if not _has_hash(path):
        raise RestoreError(
            f"{path}: snapshot missing hash but --skip-hash-check=false: its {size} bytes are not whole blocks "
            f"of {_BLOCK_BYTES} and a SHA-256, so it was cut short or was not saved through a member"
        )
    left = size - digest.digest_size
    with path.open("rb") as file:
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            digest.update(piece)
        expected = file.read()
    if digest.digest() != expected:
        raise RestoreError(
            f"{path}: expected sha256 {expected.hex()}, got {digest.hexdigest()}: the file is damaged "
            f"somewhere in its {size} bytes"
        )
