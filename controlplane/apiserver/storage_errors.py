"""Storage errors -> API errors: the one place where a missing quorum becomes an HTTP answer.

A write whose outcome is unknown is answered 504 Timeout, which clients must not take for a failure; everything that
certainly did not happen for want of a store is 503 with Retry-After, which client-go repeats by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from controlplane.api import errors as api
from controlplane.api.resource import Resource
from controlplane.storage import errors as storage


def translated(error: storage.StorageError, resource: Resource, name: str) -> api.APIError:
    """The API error that says what `error` says."""
    if isinstance(error, storage.KeyExistsError):
        return api.AlreadyExists.of(resource, name)
    if isinstance(error, storage.KeyNotFoundError):
        return api.NotFound.of(resource, name)
    if isinstance(error, storage.PreconditionError):
        return api.Conflict.of(resource, name, str(error))
    if isinstance(error, storage.TooOldError):
        return api.Expired.too_old(error.revision, error.oldest)
    if isinstance(error, storage.FutureRevisionError):
        return api.Timeout.large_resource_version(error.revision, error.current)
    if isinstance(error, storage.BadContinueError):
        return api.BadRequest(f"invalid continue token: {error}")
    if isinstance(error, storage.UnreadableError):
        return api.Internal(str(error))
    if isinstance(error, storage.UnreachableError) and not error.outcome_known:
        return api.Timeout(f"the outcome of the write is unknown: {error}")
    return api.ServiceUnavailable(f"the store cannot be reached: {error}")


def other_uid(resource: Resource, key: str, name: str, wanted: str, found: str) -> api.APIError:
    """The conflict of a write that means an object with another uid; `key` is the store's, without its prefix."""
    return api.Conflict.of(
        resource,
        name,
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
    )


@contextmanager
def translating(resource: Resource, name: str = "") -> Iterator[None]:
    """Raise API errors for the storage errors of the block."""
    try:
        yield
    except storage.StorageError as error:
        raise translated(error, resource, name) from error
