"""What a data directory decides before a member starts: who it is, and whether it may be used at all.

As in etcd, a directory that was used before wins over `--initial-cluster`. One that clearly belongs to somebody else
is refused: another name, and none of the flags' peer URLs (etcd would silently join that other cluster) or those of
another member (volumes were swapped). What a real etcd left there is taken in first (`kvstore.takeover`).
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from kvstore import identity as identities
from kvstore.base.log import get_logger
from kvstore.config.members import address_of
from kvstore.config.reader import MemberConfig
from kvstore.config.tls import FIXTURES
from kvstore.identity import Identity
from kvstore.raft.replicator import DamagedData, MemberId

log = get_logger("kvstore.bootstrap")

_OWN_FILES = (identities.FILE_NAME, "lock", "log", "snapshots", FIXTURES, "lost+found")
"""Beginnings of names, for a file is written aside under a longer one. The last is made by file systems."""

_MOST_NAMED = 10


class StartError(Exception):
    """The member cannot start; the message says why and what to do."""


def settle(config: MemberConfig) -> MemberConfig:
    """`config` with what its data directory says of the member and its cluster. Raises StartError."""
    try:
        found = identities.load(config.data_dir)
    except DamagedData as error:
        raise StartError(f"--data-dir: {error}") from error
    except OSError as error:
        raise StartError(f"--data-dir: cannot use {config.data_dir}: {error.strerror}") from error
    if found is None:
        if config.force_new_cluster:
            found = _identity_of(config)
        else:
            return config
    _check_is_ours(config, found)
    if config.force_new_cluster:
        found = replace(found, peer_urls={found.member_id: found.peer_urls[found.member_id]})
    uses_https = any(url.startswith("https") for urls in found.peer_urls.values() for url in urls)
    if uses_https and config.peer_tls is None and len(found.peer_urls) > 1:
        raise StartError(
            f"the members recorded in {config.data_dir / identities.FILE_NAME} have https peer URLs: "
            "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file are needed"
        )
    names = {
        one: member_id
        for one, member_id in config.peer_names.items()
        if member_id in found.peer_urls
    }
    return replace(
        config,
        member_id=found.member_id,
        cluster_id=found.cluster_id,
        peer_urls=dict(found.peer_urls),
        peer_addresses={one: address_of(urls[0]) for one, urls in found.peer_urls.items()},
        peer_names=names,
        is_joined=found.joined,
        is_emptied=found.emptied,
    )


def must_join(config: MemberConfig) -> bool:
    """Whether this is the first start of a member of a cluster that is there. Raises StartError."""
    try:
        return config.is_existing and identities.load(config.data_dir) is None
    except (DamagedData, OSError) as error:
        raise StartError(f"--data-dir: {error}") from error


def joined(
    config: MemberConfig,
    cluster_id: int,
    members: Mapping[MemberId, Sequence[str]],
    counting: Sequence[MemberId] = (),
) -> MemberConfig:
    """`config` with the ids that the cluster's members know. Raises StartError, in etcd's words, if they differ.

    A member that is among `counting` was there before, and comes back with an empty directory.
    """
    told = sorted(url for urls in config.peer_urls.values() for url in urls)
    if len(members) != len(config.peer_urls):
        raise StartError(f"error validating peerURLs {told}: member count is unequal")
    ids = {tuple(sorted(urls)): member_id for member_id, urls in members.items()}
    found: dict[MemberId, MemberId] = {}
    for own_id, urls in config.peer_urls.items():
        member_id = ids.get(tuple(sorted(urls)))
        if member_id is None:
            raise StartError(
                f"error validating peerURLs {told}: unmatched member while checking PeerURLs ({', '.join(urls)})"
            )
        found[own_id] = member_id
    return replace(
        config,
        member_id=found[config.member_id],
        cluster_id=cluster_id,
        peer_urls={found[one]: urls for one, urls in config.peer_urls.items()},
        peer_addresses={found[one]: at for one, at in config.peer_addresses.items()},
        peer_names={name: found[one] for name, one in config.peer_names.items()},
        is_joined=True,
        is_emptied=found[config.member_id] in counting,
    )


def record(config: MemberConfig) -> None:
    """Write down who the member is, if the directory does not say so yet. Raises OSError."""
    wanted = _identity_of(config)
    try:
        found = identities.load(config.data_dir)
    except DamagedData:
        found = None
    if found != wanted:
        wanted.save(config.data_dir)


def prepare_directories(config: MemberConfig) -> None:
    """Warn of open permissions and put the log where `--wal-dir` says. The lock is held. Raises StartError."""
    mode = stat.S_IMODE(config.data_dir.stat().st_mode)
    if mode & 0o077:
        log.warning(
            "the data directory can be read by others; recommended permission is 0700",
            dir=str(config.data_dir),
            permission=f"{mode:04o}",
        )
    foreign = sorted(
        one.name for one in config.data_dir.iterdir() if not one.name.startswith(_OWN_FILES)
    )
    if foreign:
        log.warning(
            "the data directory holds files that are none of this store's",
            dir=str(config.data_dir),
            files=foreign[:_MOST_NAMED],
            count=len(foreign),
        )
    if config.wal_dir is None:
        return
    link, target = config.data_dir / "log", config.wal_dir
    try:
        if link.exists() or link.is_symlink():
            if os.path.realpath(link) != os.path.realpath(target):
                raise StartError(
                    f"--wal-dir: the log of this member is in {os.path.realpath(link)}, not in {target}; "
                    "move it there, or leave the flag as it was"
                )
            return
        if _has_log(target):
            raise StartError(f"--wal-dir: {target} holds the log of another member")
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.symlink_to(os.path.realpath(target), target_is_directory=True)
    except OSError as error:
        raise StartError(f"--wal-dir: cannot use {target}: {error.strerror}") from error


def _has_log(directory: Path) -> bool:
    return directory.is_dir() and any(directory.glob("*.log"))


def _identity_of(config: MemberConfig) -> Identity:
    return Identity(
        config.member_id,
        config.cluster_id,
        config.name,
        dict(config.peer_urls),
        config.is_joined,
        config.is_emptied,
    )


def _check_is_ours(config: MemberConfig, found: Identity) -> None:
    if found.member_id == config.member_id and found.cluster_id == config.cluster_id:
        return
    own_urls = set(config.peer_urls.get(config.member_id, ()))
    swapped = [
        member_id
        for member_id, urls in found.peer_urls.items()
        if member_id != found.member_id and (member_id == config.member_id or own_urls & set(urls))
    ]
    if found.name != config.name and swapped:
        raise StartError(
            f"--data-dir: {config.data_dir} belongs to member {found.name!r} ({found.member_id:x}), and the flags are "
            f"those of member {config.name!r} ({swapped[0]:x}) of the same cluster: their folders were swapped"
        )
    recorded = {url for urls in found.peer_urls.values() for url in urls}
    named = {url for urls in config.peer_urls.values() for url in urls}
    if found.name != config.name and not recorded & named:
        raise StartError(
            f"--data-dir: {config.data_dir} belongs to member {found.name!r} ({found.member_id:x}) of cluster "
            f"{found.cluster_id:x} with peer URLs {', '.join(sorted(recorded))}; start it with that name and those "
            "URLs, or give this member a directory of its own"
        )
    log.warning(
        "the data directory was used before: its members are taken, --initial-cluster is ignored",
        member_id=f"{found.member_id:x}",
        cluster_id=f"{found.cluster_id:x}",
        members=sorted(recorded),
    )
