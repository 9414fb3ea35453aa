"""`Storage` over the kvstore client: one key an object, resourceVersion = mod revision, races settled by transactions.

Every write is a transaction that compares the key's mod revision, so a write is done once and only on the state it was
computed from. Objects with a time to live (Events) share leases, a new one a minute, as upstream's lease manager does:
a lease an object would cost the store more than the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from controlplane.api.meta import Obj
from controlplane.storage import codec
from controlplane.storage.compaction import Turn
from controlplane.storage.errors import (
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
    TooOldError,
    UnreachableError,
    UnreadableError,
)
from controlplane.storage.interface import (
    NO_PRECONDITIONS,
    Change,
    ChangeBatch,
    ListPage,
    Preconditions,
    Removal,
    UpdateFunction,
)
from controlplane.storage.shared_reads import SharedReads
from kvstore.base.clock import Clock, SystemClock
from kvstore.client import errors as kv_errors
from kvstore.client.client import Client
from kvstore.client.ops import compare_mod, compare_version, prefix_end
from kvstore.client.types import ClientTls, Event, OpDelete, OpGet, OpPut

if TYPE_CHECKING:
    # Late: who encrypts nothing need not wait for the ciphers.
    from controlplane.storage.encryption.encryption import Encryption

# Lists are read in pieces of this many keys, so that one gRPC message stays well below its limit of 4 MiB.
_LIST_PAGE_KEYS = 500
# A lease is shared by the objects created within this time, so each lives up to a minute longer than asked.
_LEASE_SHARE_SECONDS = 60
_LEASE_MAX_KEYS = 1000
# An update that loses this many races in a row gives up; its caller may try again.
_MAX_RACES = 200
# Compat: the original's key, so that its servers and ours take turns.
_COMPACTED_KEY = b"compact_rev_key"


class KvStorage:
    """Objects in a kvstore or etcd cluster."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ClientTls | None = None,
        timeout_seconds: float = 5.0,
        clock: Clock | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self._client = Client(endpoints, tls=tls, timeout_seconds=timeout_seconds)
        self._reads = SharedReads(self._client)
        self._clock = clock or SystemClock()
        self._encryption = encryption
        self._lease_id = 0
        self._lease_ttl = 0
        self._lease_until = 0.0
        self._lease_keys = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._reads.close()
        await self._client.close()

    async def create(self, key: str, obj: Obj, *, ttl_seconds: int = 0) -> Obj:
        """Store a new object."""
        data, name = codec.encode(obj), key.encode()
        stored = self._sealed(key, data)
        lease = await self._lease(ttl_seconds)
        try:
            result = await self._client.txn(
                [compare_mod(name, "=", 0)], [OpPut(name, stored, lease=lease)], []
            )
        except kv_errors.ClientError as error:
            raise _translated(error) from error
        if not result.succeeded:
            raise KeyExistsError(key)
        return codec.decode(data, result.revision)

    async def get(self, key: str) -> Obj:
        """The object now."""
        return (await self._get(key))[0]

    async def _get(self, key: str) -> tuple[Obj, bool]:
        """The object now, and whether it should be written again with the key of today."""
        try:
            result = await self._reads.get(key.encode())
        except kv_errors.ClientError as error:
            raise _translated(error) from error
        if not result.kvs:
            raise KeyNotFoundError(key)
        return self._opened(key, result.kvs[0].value, result.kvs[0].mod_revision)

    async def list(
        self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0
    ) -> ListPage:
        """Objects under `prefix`; all pieces are read at the revision of the first."""
        end, start = prefix_end(prefix.encode()), (start_key or prefix).encode()
        items: list[Obj] = []
        while True:
            piece = min(_LIST_PAGE_KEYS, limit - len(items)) if limit else _LIST_PAGE_KEYS
            try:
                result = await self._client.get(
                    start, range_end=end, limit=piece, revision=revision
                )
            except kv_errors.ClientError as error:
                raise _translated(error, revision) from error
            revision = revision or result.revision
            items.extend(
                self._opened(kv.key.decode(), kv.value, kv.mod_revision)[0] for kv in result.kvs
            )
            if not result.more or not result.kvs:
                return ListPage(items, revision)
            start = result.kvs[-1].key + b"\0"
            if limit and len(items) >= limit:
                return ListPage(items, revision, start.decode(), result.count - len(result.kvs))

    async def guaranteed_update(
        self,
        key: str,
        update: UpdateFunction,
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
        cached: Obj | None = None,
        ttl_seconds: int = 0,
    ) -> Obj:
        """Compute from the present state and write if it is still the present one; else again."""
        is_fresh, is_stale = cached is None, False
        if cached is None:
            live, is_stale = await self._get(key)
        else:
            live = cached
        for _ in range(_MAX_RACES):
            try:
                preconditions.check(key, live)
                result = await update(live)
                data = None if isinstance(result, Removal) else codec.encode(result)
                if not isinstance(result, Removal) and codec.is_same(result, live):
                    if is_fresh and not is_stale:
                        return live
                    if not is_fresh:
                        (live, is_stale), is_fresh = await self._get(key), True
                        continue
            except UnreachableError:
                raise
            except Exception:
                if is_fresh:
                    raise
                (live, is_stale), is_fresh = await self._get(key), True
                continue
            written, live, is_stale = await self._write_if_unchanged(key, live, data, ttl_seconds)
            if written:
                if isinstance(result, Removal):
                    return codec.with_revision(result.obj, written)
                return codec.decode(data or b"{}", written)
            is_fresh = True
        raise UnreachableError(f"too many concurrent writes of {key}", outcome_known=True)

    async def _write_if_unchanged(
        self, key: str, live: Obj, data: bytes | None, ttl_seconds: int
    ) -> tuple[int, Obj, bool]:
        """(revision of the write, live, False), or (0, the newer state, whether it is stale) after a lost race."""
        name, revision = key.encode(), int(live["metadata"]["resourceVersion"])
        write: OpDelete | OpPut = OpDelete(name)
        if data is not None:
            lease = await self._lease(ttl_seconds)
            write = OpPut(name, self._sealed(key, data), lease=lease)
        try:
            result = await self._client.txn(
                [compare_mod(name, "=", revision)], [write], [OpGet(name)]
            )
        except kv_errors.ClientError as error:
            raise _translated(error) from error
        if result.succeeded:
            return result.revision, live, False
        kvs = result.range(0).kvs
        if not kvs:
            raise KeyNotFoundError(key)
        return 0, *self._opened(key, kvs[0].value, kvs[0].mod_revision)

    async def delete(self, key: str, *, preconditions: Preconditions = NO_PRECONDITIONS) -> Obj:
        """Remove the object."""

        async def removal(live: Obj) -> Removal:
            return Removal(live)

        return await self.guaranteed_update(key, removal, preconditions=preconditions)

    async def current_revision(self) -> int:
        """The revision in the header of a linearizable read of nothing."""
        try:
            return (await self._client.get(b"/registry/-", count_only=True)).revision
        except kv_errors.ClientError as error:
            raise _translated(error) from error

    async def compact_in_turn(self, turn: Turn) -> Turn:
        """See `Compactable`."""
        key = _COMPACTED_KEY
        try:
            found = await self._client.txn(
                [compare_version(key, "=", turn.version)],
                [OpPut(key, str(turn.revision).encode())],
                [OpGet(key)],
            )
            if not found.succeeded:
                kvs = found.range(0).kvs
                return Turn(kvs[0].version if kvs else 0, found.revision)
            if turn.revision:
                await self._client.compact(turn.revision)
        except kv_errors.Compacted:
            # Somebody else has asked for more, by hand or by the store's own settings.
            pass
        except kv_errors.ClientError as error:
            raise _translated(error) from error
        return Turn(turn.version + 1, found.revision)

    async def watch(self, prefix: str, start_revision: int) -> AsyncIterator[ChangeBatch]:
        """Changes from `start_revision` on; fails over inside the client."""
        name = prefix.encode()
        stream = self._client.watch(
            name, range_end=prefix_end(name), start_revision=start_revision, progress_notify=True
        )
        try:
            async for batch in stream:
                changes = [self._change(event) for event in batch.events]
                yield ChangeBatch(changes, batch.revision)
        except kv_errors.ClientError as error:
            raise _translated(error, start_revision) from error
        finally:
            await stream.aclose()

    async def request_progress(self) -> None:
        """Ask the store for a progress mark on the open watches."""
        try:
            await self._client.request_progress()
        except kv_errors.ClientError as error:
            raise _translated(error) from error

    def _sealed(self, key: str, data: bytes) -> bytes:
        return data if self._encryption is None else self._encryption.seal(key, data)

    def _opened(self, key: str, stored: bytes, revision: int) -> tuple[Obj, bool]:
        """The object, and whether it should be written again; UnreadableError."""
        data, is_stale = stored, False
        if self._encryption is not None:
            data, is_stale = self._encryption.open(key, stored)
        try:
            return codec.decode(data, revision), is_stale
        except ValueError as error:
            why = "no matching prefix found" if stored.startswith(codec.ENCRYPTED) else str(error)
            raise UnreadableError(key, why) from None

    def _change(self, event: Event) -> Change:
        kv = event.kv
        key = kv.key.decode()
        if event.type == "DELETE":
            return Change(key, kv.mod_revision, None)
        data = kv.value
        if self._encryption is not None:
            try:
                data, _ = self._encryption.open(key, data)
            except UnreadableError as error:
                return Change(key, kv.mod_revision, b"", str(error))
        elif data.startswith(codec.ENCRYPTED):
            problem = UnreadableError(key, "no matching prefix found")
            return Change(key, kv.mod_revision, b"", str(problem))
        return Change(key, kv.mod_revision, data)

    async def _lease(self, ttl_seconds: int) -> int:
        if not ttl_seconds:
            return 0
        now = self._clock.monotonic()
        is_usable = now < self._lease_until and self._lease_keys < _LEASE_MAX_KEYS
        if ttl_seconds != self._lease_ttl or not is_usable:
            try:
                granted = await self._client.lease_grant(ttl_seconds + _LEASE_SHARE_SECONDS)
            except kv_errors.ClientError as error:
                raise _translated(error) from error
            self._lease_id, self._lease_ttl, self._lease_keys = granted.id, ttl_seconds, 0
            self._lease_until = now + _LEASE_SHARE_SECONDS
        self._lease_keys += 1
        return self._lease_id


def _translated(error: kv_errors.ClientError, revision: int = 0) -> StorageError:
    """The storage error that says what `error` says."""
    if isinstance(error, kv_errors.Compacted):
        return TooOldError(revision, error.compact_revision)
    if isinstance(error, kv_errors.FutureRevision):
        return FutureRevisionError(revision, 0)
    return UnreachableError(
        str(error) or "etcdserver: request timed out", outcome_known=error.outcome_known
    )
