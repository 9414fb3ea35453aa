"""Who a data directory belongs to: member, cluster, and where the members are.

Written once when a member first starts or is restored, and again when peer URLs are updated. As in etcd, what it says
wins over `--initial-cluster` at every later start. The file is JSON so that an operator can read it.
"""

from pathlib import Path

import msgspec

from kvstore.raft.files import Files
from kvstore.raft.replicator import DamagedData, MemberId

FILE_NAME = "member.json"


class _Form(msgspec.Struct, forbid_unknown_fields=False):
    member_id: str
    cluster_id: str
    name: str
    peer_urls: dict[str, list[str]]
    joined: bool = False
    emptied: bool = False


class Identity(msgspec.Struct, frozen=True):
    """One member's place in its cluster."""

    member_id: MemberId
    cluster_id: int
    name: str
    peer_urls: dict[MemberId, tuple[str, ...]]
    joined: bool = False
    """It was added to a cluster that was there before it, and learns from the log who is in it."""
    emptied: bool = False
    """It counted already when it was started with this directory, which was empty."""

    def save(self, data_dir: Path, files: Files | None = None) -> None:
        """Write it durably; a crash leaves the old or the new."""
        form = _Form(
            f"{self.member_id:x}",
            f"{self.cluster_id:x}",
            self.name,
            {f"{one:x}": list(urls) for one, urls in sorted(self.peer_urls.items())},
            self.joined,
            self.emptied,
        )
        data = msgspec.json.format(msgspec.json.encode(form), indent=2) + b"\n"
        (files or Files()).write_whole(data_dir / FILE_NAME, data)


def load(data_dir: Path) -> Identity | None:
    """What the directory says of itself; None if it says nothing. Raises DamagedData."""
    path = data_dir / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        form = msgspec.json.decode(data, type=_Form)
        peer_urls = {MemberId(int(one, 16)): tuple(urls) for one, urls in form.peer_urls.items()}
        return Identity(
            MemberId(int(form.member_id, 16)),
            int(form.cluster_id, 16),
            form.name,
            peer_urls,
            form.joined,
            form.emptied,
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedData(path, 0, f"it cannot be read ({error})") from error
