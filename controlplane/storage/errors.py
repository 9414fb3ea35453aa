"""What storage may answer instead of a result.

    StorageError
    ├── KeyExistsError          create of a key that is there
    ├── KeyNotFoundError        get, update or delete of a key that is not
    ├── PreconditionError       uid or resourceVersion differ from what the caller demanded
    ├── TooOldError             a revision that is compacted or has left the ring
    ├── FutureRevisionError     a revision the store has not reached
    ├── BadContinueError        a continue token nobody here has issued
    ├── UnreadableError         a value that is stored but cannot be decrypted or decoded
    └── UnreachableError        no quorum, no answer in time; `outcome_known` tells whether a write may have happened

Each says `retryable` and `outcome_known`; the mapping to HTTP is the API server's.
"""


class StorageError(Exception):
    """Root of the tree."""

    retryable = False
    outcome_known = True


class KeyExistsError(StorageError):
    """The key exists already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key exists: {key}")
        self.key = key


class KeyNotFoundError(StorageError):
    """The key does not exist."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key not found: {key}")
        self.key = key


class PreconditionError(StorageError):
    """The stored object is not the one the caller meant; `field` is `UID` or `ResourceVersion`."""

    def __init__(self, key: str, field: str, wanted: str, found: str) -> None:
        # Compat: upstream's words, which tests of client programs look for.
        super().__init__(
            f"Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}"
        )
        self.key = key
        self.field = field


class TooOldError(StorageError):
    """The wanted revision is gone; the caller must list again."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


class FutureRevisionError(StorageError):
    """The wanted revision has not happened yet."""

    retryable = True

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"Too large resource version: {revision}, current: {current}")
        self.revision = revision
        self.current = current


class BadContinueError(StorageError):
    """The continue token cannot be read or belongs to another list."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"continue key is not valid: {reason}")


class UnreadableError(StorageError):
    """A value is there and cannot be read: its key is not known here, or it is damaged."""

    def __init__(self, key: str, reason: str) -> None:
        # Compat: upstream's words.
        super().__init__(f'unable to transform key "{key}": {reason}')
        self.key = key


class UnreachableError(StorageError):
    """The store gave no answer; with `outcome_known=False` a write may or may not have been done."""

    retryable = True

    def __init__(self, reason: str, *, outcome_known: bool) -> None:
        super().__init__(reason)
        self.outcome_known = outcome_known
