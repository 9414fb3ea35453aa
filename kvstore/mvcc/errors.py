"""What the store can refuse, as values.

    StoreError
    ├── Compacted            a revision at or below the compacted one was asked for
    ├── FutureRevision       a revision above the current one was asked for
    ├── KeyNotFound          ignore_value / ignore_lease on a key that does not exist
    ├── DuplicateKey         one transaction puts a key twice
    ├── LeaseNotFound        a lease that does not exist
    ├── LeaseExists          a lease id in use
    ├── LeaseTTLTooLarge     a TTL above etcd's bound
    ├── NoSpace              the space alarm is raised
    ├── Corrupt              the corruption alarm is raised
    └── TxnTooDeep           transactions nested beyond what is applied

They travel inside replies (never raised out of the state machine); the service layer raises them to its callers, and
`kvstore/server/errors.py` alone knows their wire form.
"""


class StoreError(Exception):
    """Base of all refusals of the state machine. `retryable` is whether the same call may succeed later."""

    retryable = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == getattr(other, "args", None)

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class Compacted(StoreError):
    """`revision` was compacted; `compact_revision` is the oldest that is gone."""

    def __init__(self, revision: int = 0, compact_revision: int = 0) -> None:
        super().__init__(revision, compact_revision)
        self.revision = revision
        self.compact_revision = compact_revision


class FutureRevision(StoreError):
    """`revision` is not there yet; `current_revision` is the newest."""

    def __init__(self, revision: int = 0, current_revision: int = 0) -> None:
        super().__init__(revision, current_revision)
        self.revision = revision
        self.current_revision = current_revision


class KeyNotFound(StoreError):
    """A put with ignore_value or ignore_lease needs an existing key."""


class DuplicateKey(StoreError):
    """One transaction would put the same key twice, or delete and put it."""


class LeaseNotFound(StoreError):
    """No such lease."""


class LeaseExists(StoreError):
    """The lease id is in use."""


class LeaseTTLTooLarge(StoreError):
    """The TTL is above 9,000,000,000 seconds, etcd's bound."""


class NoSpace(StoreError):
    """The quota is exceeded: only reads, deletes, compaction and alarm calls go on."""


class Corrupt(StoreError):
    """The corruption alarm is raised: only alarm calls go on until an operator clears it."""


class TxnTooDeep(StoreError):
    """Transactions are nested deeper than the state machine applies."""
