"""A distributed lock as many write their first one: it works until somebody is slow.

The holder writes a key with a lease, and then believes, for as long as it likes, that the lock is its own.
"""

from typing import Any

from kvstore.client.ops import compare_create, op_put


class NaiveLock:
    """Holds `key` while a lease lasts. `client` is a `kvstore.client.blocking.SyncClient`."""

    def __init__(self, client: Any, key: str, *, ttl_seconds: int = 1) -> None:
        self.client, self.key = client, key
        self.lease = client.lease_grant(ttl_seconds).id

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it."""
        answer = self.client.txn(
            [compare_create(self.key.encode(), "=", 0)],
            [op_put(self.key.encode(), b"held", lease=self.lease)],
        )
        return bool(answer.succeeded)


def add_line(client: Any, line: str) -> None:
    """What the lock is to protect: read, change, write back."""
    found = client.get("ledger").kvs
    before = found[0].value.decode() if found else ""
    client.put("ledger", before + line)
