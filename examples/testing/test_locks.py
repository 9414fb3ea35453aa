"""The test that finds the bug of `naive_lock.py`, and shows that `fenced_lock.py` does not have it.

pytest examples/testing
"""

import time
from typing import Any

import fenced_lock
import naive_lock
import pytest

DEADLINE_SECONDS = 15.0


def acquire(lock: Any) -> None:
    """Try until the lease of the one before has run out."""
    deadline = time.perf_counter() + DEADLINE_SECONDS
    while not lock.try_acquire():
        assert time.perf_counter() < deadline, "nobody let go of the lock"
        time.sleep(0.05)


def ledger(client: Any) -> str:
    """What is protected."""
    return client.get("ledger").kvs[0].value.decode()


def test_naive_lock(quorate_cluster: Any) -> None:
    """Fails: the slow holder overwrites what the quick one wrote."""
    slow, quick = quorate_cluster.client(name="slow"), quorate_cluster.client(name="quick")
    lock = naive_lock.NaiveLock(slow, "lock")
    assert lock.try_acquire()
    before = slow.get("ledger").kvs  # The slow one has read, and now something holds it up ...
    assert before == ()
    quorate_cluster.kill("leader")  # ... a leader is lost meanwhile, which must not matter ...
    other = naive_lock.NaiveLock(quick, "lock", ttl_seconds=60)
    acquire(other)  # ... its lease ends, and the quick one gets the lock, rightly.
    naive_lock.add_line(quick, "quick was here. ")
    slow.put("ledger", "slow was here. ")  # The slow one goes on where it was.
    quorate_cluster.assert_linearizable()  # The store did as it was told.
    assert ledger(quick) == "quick was here. slow was here. "


def test_fenced_lock(quorate_cluster: Any) -> None:
    """Passes: the slow holder is told that its time is over."""
    slow, quick = quorate_cluster.client(name="slow"), quorate_cluster.client(name="quick")
    lock = fenced_lock.FencedLock(slow, "lock")
    assert lock.try_acquire()
    quorate_cluster.kill("leader")
    other = fenced_lock.FencedLock(quick, "lock", ttl_seconds=60)
    acquire(other)
    assert other.token > lock.token
    fenced_lock.add_line(quick, "quick was here. ", other)
    with pytest.raises(fenced_lock.LostLock):
        fenced_lock.add_line(slow, "slow was here. ", lock)
    quorate_cluster.assert_linearizable()
    assert ledger(quick) == "quick was here. "
