"""Goes on with the data of a real etcd whose folder this member is started on.

An etcd's folder is known by `member/`, which this store never makes. An empty store beside it would look like the loss
of everything. So before the first start the state is read out of its file, `member/snap/db`, and written as this store
keeps it; what etcd left stays where it is and is used no more. That is safe if the file has all that was acknowledged:

 - in a folder that `etcdctl snapshot restore` made, of however many members: its log has no request at all, and all
   members were made from one file. The flags must name the member and the cluster that it was made for;
 - in the folder of an etcd that was alone and was stopped in order. The end of its log may be missing in the file after
   a crash, as etcd writes the file every tenth of a second only.

Everything else is refused, with the commands that go on with it all the same: a member of several may lack what the
others acknowledged, and who takes over a whole cluster decides which member's data counts.
"""

import fcntl
import mmap
import os
import shlex
import shutil
from pathlib import Path

from kvstore import identity as identities
from kvstore.base.log import get_logger
from kvstore.bbolt.reader import Reader
from kvstore.bootstrap import StartError
from kvstore.config.reader import MemberConfig
from kvstore.etcd_wal import BadWal, EtcdWal, read_wal
from kvstore.identity import Identity
from kvstore.restore import RestoreError, read_state, write_member

log = get_logger("kvstore.takeover")

_FOLDER = "member"


def take_in(config: MemberConfig) -> None:
    """Take the data of an etcd in, if there is any and none of ours. The directory is locked. Raises StartError."""
    folder = config.data_dir / _FOLDER
    if not folder.is_dir() or (config.data_dir / identities.FILE_NAME).exists():
        return
    database = folder / "snap" / "db"
    found = f"--data-dir: {config.data_dir} holds the data of an etcd ({folder})"
    if not database.is_file():
        raise StartError(
            f"{found}, but no {database}: move the folder away, or give this member another one"
        )
    try:
        obstacle = _obstacle(config, folder, database)
    except (OSError, ValueError) as error:
        obstacle = f"it cannot be read ({error})"
    if obstacle:
        raise StartError(
            f"{found} and {obstacle}. To go on with what is in its file all the same: {_commands(config, database)}"
        )
    try:
        _write(config, database)
    except (OSError, RestoreError) as error:
        raise StartError(f"{found}, which could not be taken in: {error}") from error
    log.info("the data of an etcd was taken in; its own files are used no more", folder=str(folder))


def _obstacle(config: MemberConfig, folder: Path, database: Path) -> str:
    """Why the file may not have all that was acknowledged, or is not this member's; empty = it has and is."""
    with database.open("rb") as file:
        try:
            # etcd holds this lock as long as it runs.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "that etcd still runs"
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = Reader(data)
            members = sum(1 for _ in reader.items(b"members"))
            index = dict(reader.items(b"meta")).get(b"consistent_index", bytes(8))
            is_auth_on = dict(reader.items(b"auth")).get(b"authEnabled") == b"\x01"
    wal = _read_log(config, folder)
    if wal.was_never_used:
        if (wal.member_id, wal.cluster_id) != (config.member_id, config.cluster_id):
            return (
                f"was made for member {wal.member_id:x} of cluster {wal.cluster_id:x}, which the flags do not name: "
                "they must be those that were given to `snapshot restore`"
            )
        return ""
    if members != 1 or len(config.peer_urls) != 1:
        return f"is that of one of {max(members, 2)} members, which may lack what the others acknowledged"
    lacking = wal.changes_behind(int.from_bytes(index, "big"), is_auth_on=is_auth_on)
    if lacking:
        return (
            f"was not closed in order: {len(lacking)} of its last requests are in its log only (start that etcd "
            "once more and stop it with SIGTERM)"
        )
    return ""


def _read_log(config: MemberConfig, folder: Path) -> EtcdWal:
    """etcd keeps its log in the folder, or where its `--wal-dir` said. Raises BadWal, OSError."""
    for directory in (folder / "wal", config.wal_dir):
        files = sorted(directory.glob("*.wal")) if directory is not None else []
        if files:
            return read_wal([file.read_bytes() for file in files])
    raise BadWal("there is no log in it")


def _write(config: MemberConfig, database: Path) -> None:
    state = read_state(database, skip_hash_check=True)
    # An attempt that was cut short left no identity; what it wrote means nothing.
    for name in ("log", "snapshots"):
        left = config.data_dir / name
        if left.is_symlink():
            left.unlink()
        elif left.exists():
            shutil.rmtree(left)
    # The log is put where --wal-dir says when the directories are prepared.
    identity = Identity(config.member_id, config.cluster_id, config.name, dict(config.peer_urls))
    write_member(state, config.data_dir, config.wal_dir, identity)


def _commands(config: MemberConfig, database: Path) -> str:
    """After these the same start of this member goes on with the file as it is."""
    folder = config.data_dir
    aside = folder.with_name(folder.name + ".etcd")
    names = {member_id: name for name, member_id in config.peer_names.items()}
    cluster = ",".join(
        f"{names[member_id]}={url}" for member_id, urls in config.peer_urls.items() for url in urls
    )
    words = [
        *("quorate", "kv", "snapshot", "restore", str(aside / database.relative_to(folder))),
        "--skip-hash-check",
        *("--name", config.name),
        *("--initial-cluster", cluster),
        *("--initial-cluster-token", config.cluster_token),
        *("--initial-advertise-peer-urls", ",".join(config.peer_urls[config.member_id])),
        *("--data-dir", os.fspath(folder)),
    ]
    if config.wal_dir is not None:
        words += ["--wal-dir", str(config.wal_dir)]
    return f"{shlex.join(('mv', str(folder), str(aside)))} && {shlex.join(words)}"
