"""Commands about snapshots: snapshot save, status, restore."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from cli.kv.flags import Flag, Values
from cli.kv.session import EXIT_BAD_ARGUMENTS, EXIT_INTERRUPTED, fail, session_from, write
from cli.kv.tree import Command
from cli.output import SnapshotStatus
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.local.snapshots import RestoreError, restore, snapshot_status

_SUM_BYTES = 32
_PART = ".part"
_LOCAL = "http://localhost:2380"
_RESTORE_FLAGS: tuple[Flag, ...] = (
    Flag("data-dir", "string", "", "folder to make; [name].etcd without it"),
    Flag("initial-advertise-peer-urls", "string", _LOCAL, "peer URLs of this member"),
    Flag("initial-cluster", "string", f"default={_LOCAL}", "all members: name=url,name=url"),
    Flag("initial-cluster-token", "string", "etcd-cluster", "what sets this cluster apart"),
    Flag("name", "string", "default", "name of this member"),
    Flag("skip-hash-check", help="take a file that was copied from a data folder"),
    Flag("wal-dir", "string", "", "folder of the log, where it is apart"),
)


def commands() -> list[Command]:
    """The commands of this module."""
    below = [
        Command("save", "Writes a member's snapshot to a file", "<filename>", _save),
        Command("status", "Shows what a snapshot file holds", "<filename>", _status),
        Command(
            "restore",
            "Makes a member's data folder of a snapshot file",
            "<filename> [options]",
            _restore,
            _RESTORE_FLAGS,
        ),
    ]
    return [Command("snapshot", "Commands about snapshots", "<subcommand>", children=below)]


def _save(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("snapshot save expects one argument", EXIT_BAD_ARGUMENTS)
    session = session_from(values)
    endpoints = session.endpoints
    if len(endpoints) != 1 and session.has_given_endpoints:
        fail(
            f"snapshot must be requested to one selected node, not multiple [{' '.join(endpoints)}]"
        )
    path = values.arguments[0]

    async def command(client: Client) -> bytes:
        # Compat: whatever goes wrong while saving, etcdctl ends with 5.
        try:
            await _write(client.snapshot(endpoints[0]), Path(path))
        except ClientError as error:
            fail(f"{error.endpoint}: {error.message}", EXIT_INTERRUPTED)
        except OSError as error:
            fail(_go_words(error, f"{path}{_PART}"), EXIT_INTERRUPTED)
        return f"Snapshot saved at {path}\n".encode()

    session.show(command)


def _go_words(error: OSError, path: str) -> str:
    """As Go says it: what was done, with which file, why not."""
    if error.errno is None:
        return str(error)
    reason = (error.strerror or str(error)).lower()
    if error.filename is None:
        return f"write {path}: {reason}"
    return f"could not open {error.filename} (open {error.filename}: {reason})"


async def _write(pieces: AsyncIterator[bytes], path: Path) -> None:
    """The file appears when it is whole, and when its sum is right."""
    aside = path.with_name(path.name + _PART)
    digest = hashlib.sha256()
    tail = b""
    try:
        with aside.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
                tail += piece
                digest.update(tail[:-_SUM_BYTES])
                tail = tail[-_SUM_BYTES:]
            file.flush()
            os.fsync(file.fileno())
        if digest.digest() != tail:
            raise OSError("the snapshot came without its sum, or damaged: nothing was saved")
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _status(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("snapshot status requires exactly one argument", EXIT_BAD_ARGUMENTS)
    session = session_from(values)
    path = Path(values.arguments[0])
    if not path.exists():
        fail(f"stat {path}: no such file or directory")
    try:
        found = snapshot_status(path)
    except (RestoreError, OSError) as error:
        fail(str(error))
    status = SnapshotStatus(found.hash, found.revision, found.total_keys, found.total_size)
    write(session.printer().snapshot_status(status))


def _restore(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("snapshot restore requires exactly one argument", EXIT_BAD_ARGUMENTS)
    path = Path(values.arguments[0])
    if not path.exists():
        fail(f"open {path}: no such file or directory")
    name = values["name"]
    members: dict[str, list[str]] = {}
    for one in values["initial-cluster"].split(","):
        member, equals, url = one.strip().partition("=")
        if not equals:
            fail(f"bad --initial-cluster {one!r}: name=url is expected", EXIT_BAD_ARGUMENTS)
        members.setdefault(member, []).append(url)
    data_dir = Path(values["data-dir"] or f"{name}.etcd")
    try:
        restore(
            path,
            data_dir,
            name=name,
            initial_cluster=members,
            token=values["initial-cluster-token"],
            peer_urls=values["initial-advertise-peer-urls"].split(","),
            skip_hash_check=values["skip-hash-check"],
            wal_dir=Path(values["wal-dir"]) if values["wal-dir"] else None,
        )
    except (RestoreError, OSError) as error:
        fail(str(error))
    write(f"restored {path} into {data_dir}\n".encode())
