"""The versions of one key: a list, oldest first, of puts and tombstones.

Generations need no structure of their own: a tombstone (version 0) ends one, and the put after it has version 1. The
list only ever grows at its end; compaction makes a new list. So whoever holds the old list can go on reading the state
as of a revision while the store moves on, which is how snapshots are pinned.
"""

from bisect import bisect_right
from operator import attrgetter

from kvstore.mvcc.kv import KeyValue

Versions = list[KeyValue]

_mod_revision = attrgetter("mod_revision")


def version_at(versions: Versions, revision: int) -> KeyValue | None:
    """The key as of `revision`; None if it did not exist then. The last write of a revision is the one that counts."""
    last = versions[-1]
    if last.mod_revision > revision:
        position = bisect_right(versions, revision, key=_mod_revision)
        if position == 0:
            return None
        last = versions[position - 1]
    return last if last.version else None


def compact(versions: Versions, revision: int, limit: int = 0) -> tuple[Versions, Versions]:
    """Split into what stays and what goes when history before `revision` goes.

    The newest version at or below `revision` stays, as reads at `revision` need it; if it is a tombstone it goes too.
    No more than `limit` go (0 = no limit), the oldest first.
    """
    position = bisect_right(versions, revision, key=_mod_revision) - 1
    if position < 0:
        return versions, []
    if not versions[position].version:
        position += 1
    if position == 0:
        return versions, []
    if limit:
        position = min(position, limit)
    return versions[position:], versions[:position]


def check_versions(key: bytes, versions: Versions) -> None:
    """Raise AssertionError unless `versions` could have come from puts and deletes of `key`."""
    assert versions, f"{key!r} has no versions"
    before: KeyValue | None = None
    for kv in versions:
        assert kv.key == key, f"{kv!r} is filed under {key!r}"
        if before is not None:
            assert kv.mod_revision >= before.mod_revision, f"{key!r}: revisions fall"
        if not kv.version:
            assert kv == KeyValue(key, mod_revision=kv.mod_revision), f"{kv!r}: odd tombstone"
            assert before is None or before.version, f"{key!r}: two tombstones in a row"
        elif before is None or not before.version:
            # Older versions of the generation may be compacted, but never those after a tombstone.
            assert before is None or kv.version == 1, f"{kv!r}: a generation starts at version 1"
            assert before is None or kv.create_revision == kv.mod_revision
        else:
            assert kv.version == before.version + 1, f"{kv!r}: version does not follow"
            assert kv.create_revision == before.create_revision, f"{kv!r}: create revision moved"
        before = kv
