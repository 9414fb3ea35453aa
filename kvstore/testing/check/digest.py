"""Equal hash at equal revision: members that applied the same have the same, also the same member at another time.

Hashes are compared only where the compacted revision is equal, too: a hash covers the history that is left.
"""

from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import DigestRecord

PROPERTY = "digest"
_MOST = 20


def check(history: History) -> list[Violation]:
    """Revisions at which two digests differ."""
    first: dict[tuple[int, int], DigestRecord] = {}
    violations: list[Violation] = []
    for one in history.digests:
        other = first.setdefault((one.revision, one.compact_revision), one)
        if other.hash != one.hash and len(violations) < _MOST:
            who = (
                f"{one.member} has hash {one.hash:08x}, {other.member} {other.hash:08x}"
                if one.member != other.member
                else f"{one.member} had hash {other.hash:08x}, later {one.hash:08x}"
            )
            violations.append(
                Violation(
                    PROPERTY,
                    f"at revision {one.revision} (compacted {one.compact_revision}) {who}: "
                    f"their histories are not the same",
                    (),
                    one.time,
                )
            )
    return violations
