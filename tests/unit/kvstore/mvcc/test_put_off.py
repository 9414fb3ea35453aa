"""What the store puts off - the order of new keys, the hashes of versions - shows nowhere but in time.

Each is compared with the same done at once, over random work with small limits, so that every path is taken.
"""

import random

import pytest

from kvstore.lease.lessor import Lessor
from kvstore.machine import txn
from kvstore.machine.commands import Put, Txn
from kvstore.mvcc import history, ordered
from kvstore.mvcc import store as store_module
from kvstore.mvcc.kv import KeyValue
from kvstore.mvcc.ordered import OrderedKeys
from kvstore.mvcc.store import Store


def _key(number: int) -> bytes:
    return b"%05d" % number


@pytest.mark.parametrize("seed", range(20))
def test_keys_that_gather_are_found_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "_BLOCK", 4)
    monkeypatch.setattr(ordered, "_FEW", 2)
    monkeypatch.setattr(ordered, "_GATHERED_AT_MOST", 24)
    rng = random.Random(seed)
    keys = OrderedKeys(_key(number) for number in rng.sample(range(400), 30))
    model = set(keys)
    for _ in range(300):
        match rng.randrange(6):
            case 0 | 1:
                key = _key(rng.randrange(400))
                if key not in model:
                    keys.add(key)
                    model.add(key)
            case 2:
                new = {_key(rng.randrange(400)) for _ in range(rng.randrange(12))} - model
                keys.add_all(new)
                model |= new
            case 3 | 4 if model:
                key = rng.choice(sorted(model))
                keys.remove(key)
                model.remove(key)
            case _:
                low, high = sorted((_key(rng.randrange(400)), _key(rng.randrange(400))))
                expected = sorted(one for one in model if low <= one < high)
                assert keys.between(low, high) == expected
                assert keys.first_between(low, None, 3) == (
                    sorted(one for one in model if one >= low)[:3],
                    sum(one >= low for one in model),
                )
        assert len(keys) == len(model)
    keys.check_invariants()
    assert list(keys) == sorted(model)
    with pytest.raises(KeyError):
        keys.remove(b"absent")


def test_a_new_key_is_removed_before_it_was_sorted_in() -> None:
    keys = OrderedKeys([b"b"])
    keys.add(b"a")
    keys.remove(b"a")
    assert (len(keys), list(keys)) == (1, [b"b"])
    with pytest.raises(KeyError):
        keys.remove(b"a")


@pytest.mark.parametrize("seed", range(10))
def test_the_digest_does_not_depend_on_when_hashes_are_made(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    lazy, prompt, bounded = Store(), Store(), Store()
    for _ in range(200):
        keys = [b"k%d" % rng.randrange(12) for _ in range(rng.randrange(1, 4))]
        deletes = rng.random() < 0.3
        compacts = rng.random() < 0.05
        for store in (lazy, prompt, bounded):
            monkeypatch.setattr(history, "_OWED_AT_MOST", 5 if store is bounded else 1000)
            for key in keys:
                if deletes:
                    store.delete(key)
                else:
                    store.put(key, b"value")
            store.commit()
            if compacts and store.revision - 3 > store.compact_revision:
                assert store.compact(store.revision - 3) is None
        assert prompt.settle(1000) is False
        assert bounded.history.owed <= 5 + 3
        if rng.random() < 0.2:
            lazy.settle(rng.randrange(1, 6))
            lazy.check_invariants()
    low = max(1, lazy.compact_revision)
    for revision in range(low, lazy.revision + 1):
        assert prompt.digest(revision) == bounded.digest(revision)
    assert lazy.digest() == prompt.digest()
    assert lazy.digest(low) == prompt.digest(low)
    for store in (lazy, prompt, bounded):
        store.check_invariants()


@pytest.mark.parametrize("seed", range(10))
def test_plain_transactions_do_what_the_long_way_does(seed: int) -> None:
    rng = random.Random(seed)
    short, long = Store(), Store()
    lessors = (Lessor(), Lessor())
    for lessor in lessors:
        lessor.grant(7, 60)
    for _ in range(60):
        puts = tuple(
            Put(b"k%d" % number, b"v%d" % rng.randrange(9))
            for number in rng.sample(range(30), rng.randrange(6))
        )
        leased = b"k%d" % rng.randrange(30)
        deleted = b"k%d" % rng.randrange(30)
        command = Txn((), puts)
        assert txn.is_plain(command)
        replies = []
        for store, lessor in zip((short, long), lessors, strict=True):
            txn.put(store, lessor, Put(leased, b"leased", 7))
            store.commit()
            before = store.delete(deleted)
            if before is not None and before.lease:
                lessor.detach(before.lease, deleted)
            store.commit()
            if store is short:
                replies.append(txn.run_plain(store, lessor, command))
            else:
                replies.append(txn.run(store, lessor, txn.decide(store, command)))
            store.commit()
            store.check_invariants()
        assert replies[0] == replies[1]
        assert short.select(b"\0", b"\0") == long.select(b"\0", b"\0")
        assert lessors[0].leases[7].keys == lessors[1].leases[7].keys
    assert short.digest() == long.digest()
    assert short.size_bytes == long.size_bytes
    assert [*short.history.pinned()] == [*long.history.pinned()]


@pytest.mark.parametrize(
    "command",
    [
        Txn((), (Put(b"k", b"v", lease=1),)),
        Txn((), (Put(b"k", b"v", prev_kv=True),)),
        Txn((), (Put(b"k", ignore_value=True),)),
        Txn((), (Put(b"k", ignore_lease=True),)),
        Txn((), (Put(b"k", b"v"), Txn((), (Put(b"l", b"v"),)))),
    ],
)
def test_other_transactions_are_not_plain(command: Txn) -> None:
    assert not txn.is_plain(command)


@pytest.mark.parametrize("seed", range(5))
def test_a_store_read_back_hashes_its_base_later(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_BASE_BATCH", 7)
    rng = random.Random(seed)
    kept = Store()
    for number in range(60):
        kept.put(b"k%d" % rng.randrange(40), b"v%d" % number)
        if rng.random() < 0.2:
            kept.delete(b"k%d" % rng.randrange(40))
        kept.commit()
    assert kept.compact(40) is None
    written = [[event.kv for event in events] for events in kept.history.pinned()]
    back = Store.rebuild(40, kept.pinned_base(), written)
    back.check_invariants()
    for store in (kept, back):
        # Versions of the base are reclaimed before they were hashed.
        for number in range(10):
            store.delete(b"k%d" % number)
            store.commit()
        assert store.compact(store.revision - 3) is None
        store.reclaim(rng.randrange(20))
    back.settle(3)
    back.check_invariants()
    assert back.digest() == kept.digest()
    assert back.digest(back.compact_revision) == kept.digest(kept.compact_revision)
    assert not back.settle(1)


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ([KeyValue(b"a", b"", 1, 41, 1)], "cannot be in it"),
        ([KeyValue(b"a", b"", 1, 0, 1)], "cannot be in it"),
        ([KeyValue(b"a", b"", 1, 2, 1), KeyValue(b"a", b"", 1, 3, 1)], "two versions"),
    ],
)
def test_a_base_that_cannot_be_is_refused(base: list[KeyValue], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Store.rebuild(40, base, [[]])
