"""All checks of one history at once."""

from kvstore.testing.check import digest, durable, linearizable, locks, watch
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History


def check_all(history: History) -> list[Violation]:
    """Violations of all properties; empty: nothing wrong was found."""
    return [
        *linearizable.check(history),
        *watch.check(history),
        *durable.check(history),
        *digest.check(history),
        *locks.check(history),
    ]
