"""Watch, durability, digests and locks: each promise kept, and each broken in a way that must be named."""

import pytest
from msgspec.structs import replace

from kvstore.testing.check import digest, durable, locks, watch
from kvstore.testing.check.facts import collect
from kvstore.testing.check.linearizable import explain
from kvstore.testing.check.verdict import check_all
from kvstore.testing.history.history import (
    DeleteRange,
    DeleteReply,
    DigestRecord,
    Failed,
    Guarded,
    History,
    HistoryError,
    KeyValue,
    LeaseGrant,
    LeaseReply,
    Lock,
    LockReply,
    Ok,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    Txn,
    TxnReply,
    Unknown,
    Unlock,
    WatchEvent,
    WatchRecord,
    WatchResponse,
)

A2, A3 = KeyValue(b"a", b"1", 2, 2, 1), KeyValue(b"a", b"2", 2, 3, 2)
B4, A5 = KeyValue(b"b", b"1", 4, 4, 1), KeyValue(b"a", mod_revision=5)
PUT_A2 = WatchEvent("PUT", A2)
PUT_A3 = WatchEvent("PUT", A3, A2)
PUT_B4 = WatchEvent("PUT", B4)
DELETE_A5 = WatchEvent("DELETE", A5, A3)


def operations():
    def ok(number, request, revision, reply):
        called = 2.0 * number
        return Operation(number, "c", request, called, called + 1, Ok(revision, reply))

    return [
        ok(1, Put(b"a", b"1"), 2, PutReply()),
        ok(2, Put(b"a", b"2"), 3, PutReply()),
        ok(3, Put(b"b", b"1"), 4, PutReply()),
        ok(4, DeleteRange(b"a"), 5, DeleteReply(1)),
    ]


def watched(*responses, start=2, prev_kv=True, number=100, resumes=0, **options):
    history = History()
    for one in operations():
        history.append(one)
    history.append(
        WatchRecord(number, "w", 0.0, b"\0", b"\0", start, prev_kv, resumes=resumes, **options)
    )
    history.append(WatchResponse(number, 0.5, "created", 1))
    for one in responses:
        history.append(one)
    return history


def events(*found, revision=5, fragment=False, time=20.0):
    return WatchResponse(100, time, "events", revision, found, fragment)


def progress(revision, time=20.0):
    return WatchResponse(100, time, "progress", revision)


def told(violations):
    return " | ".join(map(str, violations))


GOOD = {
    "all at once": [events(PUT_A2, PUT_A3, PUT_B4, DELETE_A5)],
    "one by one with progress": [
        events(PUT_A2),
        progress(2),
        events(PUT_A3),
        events(PUT_B4, DELETE_A5),
        progress(5),
    ],
    "still behind": [events(PUT_A2)],
}


@pytest.mark.parametrize("name", GOOD)
def test_watch_accepts(name):
    assert watch.check(watched(*GOOD[name])) == []


BAD = {
    "not ordered": [events(PUT_A3, PUT_A2, PUT_B4, DELETE_A5)],
    "not unique": [events(PUT_A2, PUT_A3), events(PUT_A3, PUT_B4, DELETE_A5)],
    "not reliable": [events(PUT_A2, PUT_B4, DELETE_A5)],
    "progress was ahead": [events(PUT_A2), progress(3), events(PUT_A3, PUT_B4, DELETE_A5)],
    "was told of all up to revision 5": [events(PUT_A2, PUT_A3), progress(5)],
    "with prev_kv nothing; it was a=1": [events(PUT_A2, WatchEvent("PUT", A3))],
    "with prev_kv b=1": [events(PUT_A2, WatchEvent("PUT", A3, B4))],
    "where there was no such event": [
        events(PUT_A2, PUT_A3, PUT_B4, DELETE_A5, WatchEvent("DELETE", KeyValue(b"c", mod_revision=5)))
    ],
    "where there was deletion of a": [
        events(PUT_A2, PUT_A3, PUT_B4, WatchEvent("PUT", KeyValue(b"a", b"x", 2, 5, 3), A3))
    ],
    "under a header of revision 3": [events(PUT_A2, PUT_A3, PUT_B4, revision=3)],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_watch_rejects(name):
    assert name in told(watch.check(watched(*BAD[name])))


def test_watch_filters_ranges_and_starts():
    only_deletes = watched(events(DELETE_A5), no_put=True)
    assert watch.check(only_deletes) == []
    leaky = watched(events(PUT_A2, DELETE_A5), no_put=True)
    assert "its filter excludes" in told(watch.check(leaky))
    early = watched(events(PUT_A2, PUT_A3, PUT_B4, DELETE_A5), start=3)
    assert "before its start" in told(watch.check(early))
    unasked = watched(events(PUT_A2, PUT_A3, PUT_B4, DELETE_A5), prev_kv=False)
    assert "did not ask for" in told(watch.check(unasked))


def test_a_revision_comes_in_one_response_or_in_fragments():
    b2 = KeyValue(b"b", b"1", 2, 2, 1)
    history = History()
    both = Txn((), (Put(b"a", b"1"), Put(b"b", b"1")))
    reply = TxnReply(True, (PutReply(), PutReply()))
    for is_fragment in (False, True):
        history = History()
        history.append(Operation(1, "c", both, 1, 2, Ok(2, reply)))
        history.append(WatchRecord(100, "w", 0, b"\0", b"\0", 2))
        history.append(events(PUT_A2, revision=2, fragment=is_fragment))
        history.append(events(WatchEvent("PUT", b2), revision=2))
        assert ("not atomic" in told(watch.check(history))) is not is_fragment


def test_a_resumed_watch_loses_nothing_and_repeats_nothing():
    def resumed(start, *found):
        history = watched(events(PUT_A2, PUT_A3))
        history.append(WatchRecord(101, "w", 30, b"\0", b"\0", start, True, resumes=100))
        history.append(WatchResponse(101, 31, "events", 5, found))
        return watch.check(history)

    assert resumed(4, PUT_B4, DELETE_A5) == []
    assert "was lost between" in told(resumed(5, DELETE_A5))
    assert "again" in told(resumed(3, PUT_A3, PUT_B4, DELETE_A5))


def test_what_was_acknowledged_stays():
    def read(*kvs, client="final", **options):
        history = History()
        for one in operations():
            history.append(one)
        request = Range(b"\0", b"\0", **options)
        reply = RangeReply(kvs, len(kvs))
        history.append(Operation(9, client, request, 20, 21, Ok(5, reply)))
        return history

    assert durable.check(read(B4)) == []
    assert "the key is not there" in told(durable.check(read()))
    behind = read(serializable=True)
    assert durable.check(behind) == []
    assert "is not there" in told(durable.check(behind, members_agree_after=15))
    assert check_all(read(B4)) == []
    assert {one.property for one in check_all(read())} == {"durable", "linearizable"}


def test_a_put_of_unknown_outcome_may_have_taken_the_key_with_its_lease():
    # Found by seed 6025: the put came after the acknowledged one, and its lease ended.
    def gone(put):
        history = History()
        written = Ok(2, PutReply())
        history.append(Operation(1, "x", Put(b"b", b"1"), 0, 1, written))
        history.append(Operation(2, "y", put, 2, 6, Unknown("DeadlineExceeded", "")))
        outcome = Ok(4, RangeReply((), 0))
        history.append(Operation(3, "z", Range(b"a", b"z"), 10, 11, outcome))
        return durable.check(history)

    assert gone(Put(b"b", b"2", 7)) == []
    assert "the key is not there" in told(gone(Put(b"b", b"2")))
    assert "the key is not there" in told(gone(Put(b"c", b"2", 7)))


def test_a_key_may_go_with_its_lease_while_the_read_is_under_way():
    # Found by seed 20062: the read took seconds, and a put with a lease came and went meanwhile.
    def gone(revision, **lease):
        history = History()
        history.append(Operation(1, "x", Put(b"b", b"1"), 0, 1, Ok(3, PutReply())))
        history.append(Operation(2, "y", Put(b"b", b"2", **lease), 0, 4, Ok(revision, PutReply())))
        history.append(Operation(3, "z", Range(b"b"), 2, 8, Ok(5, RangeReply((), 0))))
        return durable.check(history)

    assert gone(4, lease=7) == []
    assert "the key is not there" in told(gone(4))
    assert "the key is not there" in told(gone(2, lease=7))


def test_what_watches_saw_of_acknowledged_writes_tells_what_came_before():
    # Found by seed 20046: was it the lease's end that took "a" away, or a deletion of unknown outcome?
    history = History()
    lease = 7
    for number, (request, outcome) in enumerate(
        [
            (LeaseGrant(60, lease), Ok(1, LeaseReply(lease, 60))),
            (Put(b"a", b"1", lease), Ok(2, PutReply())),
            (Put(b"b", b"1", lease), Ok(3, PutReply())),
            (DeleteRange(b"a"), Unknown("DeadlineExceeded", "")),
            (Put(b"b", b"2", lease), Ok(5, PutReply())),
        ],
        1,
    ):
        history.append(Operation(number, "x", request, number, number + 0.5, outcome))
    old = KeyValue(b"b", b"1", 3, 3, 1, lease)
    new = KeyValue(b"b", b"2", 3, 5, 2, lease)
    history.append(WatchRecord(100, "w", 0, b"\0", b"\0", 5, True))
    history.append(WatchResponse(100, 9, "created", 5))
    history.append(WatchResponse(100, 9, "events", 5, (WatchEvent("PUT", new, old),)))
    explained = explain(history, with_watches=True)
    assert explained.violations == []
    assert [event.kv.key for event in explained.events[4]] == [b"a"]
    assert watch.check(history) == []


def test_what_a_watch_did_not_see_of_a_revision_did_not_happen():
    # Found by seed 5652: a transaction of unknown outcome does the deletion that was seen, and a put that was not.
    history = History()
    both = Txn((), (Put(b"b", b"x"), DeleteRange(b"a")), ())
    for number, (request, outcome) in enumerate(
        [
            (Put(b"a", b"1"), Ok(2, PutReply())),
            (DeleteRange(b"a"), Unknown("DeadlineExceeded", "")),
            (both, Unknown("DeadlineExceeded", "")),
            (Put(b"a", b"2"), Ok(4, PutReply())),
        ],
        1,
    ):
        history.append(Operation(number, "x", request, number, number + 0.5, outcome))
    gone = WatchEvent("DELETE", KeyValue(b"a", mod_revision=3), KeyValue(b"a", b"1", 2, 2, 1))
    history.append(WatchRecord(100, "w", 0, b"\0", b"\0", 3, True))
    history.append(WatchResponse(100, 3.6, "created", 2))
    history.append(WatchResponse(100, 3.6, "events", 3, (gone,)))
    history.append(WatchResponse(100, 9, "progress", 3))
    explained = explain(history, with_watches=True)
    assert explained.violations == []
    assert [event.kv.key for event in explained.events[3]] == [b"a"]
    assert watch.check(history) == []
    # With filters, or cut into fragments, it may not be all.
    for response in (
        replace(history.watches[0].responses[1], fragment=True),
        history.watches[0].responses[1],
    ):
        other = History()
        for one in history.operations:
            other.append(one)
        other.append(WatchRecord(100, "w", 0, b"\0", b"\0", 3, True, no_put=not response.fragment))
        other.append(response)
        assert not collect(other, with_watches=True).whole


def test_members_have_equal_digests():
    history = History()
    history.append(DigestRecord(1, "m1", 5, 0xAB))
    history.append(DigestRecord(1, "m2", 6, 0xCD))
    history.append(DigestRecord(1, "m3", 5, 0xEE, compact_revision=3))
    assert digest.check(history) == []
    history.append(DigestRecord(2, "m2", 5, 0xAC))
    assert "m2 has hash 000000ac, m1 000000ab" in told(digest.check(history))


def locked(*entries):
    """Entries are (client, begin, end, request, token or None)."""
    history = History()
    for number, (client, begin, end, request, token) in enumerate(entries, 1):
        outcome = Ok(token or 1, LockReply(b"l/%d" % token, token)) if token else Ok(1)
        history.append(Operation(number, client, request, begin, end, outcome))
    return history


LOCK = Lock(b"l")


def test_tokens_of_a_lock_only_grow_and_guard_their_resource():
    sound = locked(
        ("x", 0, 1, LOCK, 5), ("x", 2, 3, Guarded(b"l", 5), None), ("x", 4, 5, Unlock(b"l/5"), None),
        ("y", 6, 7, LOCK, 9), ("y", 8, 9, Guarded(b"l", 9), None),
    )  # fmt: skip
    assert locks.check(sound) == []
    assert locks.overlaps(sound) == []
    same = locked(("x", 0, 1, LOCK, 5), ("y", 2, 3, LOCK, 5))
    assert "y (#2) was given token 5 after token 5" in told(locks.check(same))
    late = locked(
        ("x", 0, 1, LOCK, 5), ("y", 2, 3, LOCK, 9), ("y", 4, 5, Guarded(b"l", 9), None),
        ("x", 6, 7, Guarded(b"l", 5), None),
    )  # fmt: skip
    assert "was accepted with token 5 after a use with token 9" in told(locks.check(late))
    assert [(a.client, b.client) for a, b in locks.overlaps(late)] == [("x", "y")]
    ghost = locked(("x", 0, 1, Guarded(b"l", 3), None))
    assert "which nobody was given" in told(locks.check(ghost))


def test_a_history_goes_to_a_file_and_comes_back(tmp_path):
    history = watched(events(PUT_A2, DELETE_A5))
    history.append(Operation(7, "d", Put(b"k", b"\xff"), 1, 2, Failed("NoLeader", "x")))
    history.append(DigestRecord(1, "m1", 5, 0xAB))
    path = tmp_path / "history.jsonl"
    history.write(path)
    assert History.read(path).records == history.records
    with path.open("ab") as file:
        file.write(b'{"type":"operat')  # The writer was killed here.
    assert len(History.read(path)) == len(history)
    path.write_text('{"format":"quorate-history","version":99}\n')
    with pytest.raises(HistoryError, match="newer"):
        History.read(path)
    path.write_text("hello\n")
    with pytest.raises(HistoryError, match="not a history"):
        History.read(path)


def test_memory_is_bounded_where_the_file_has_all_and_open_operations_end_unknown(tmp_path):
    path = tmp_path / "history.jsonl"
    history = History(seed=7, path=path, keep=2)
    for number in range(5):
        pending = history.begin("c", Put(b"a", b"%d" % number), float(number))
        if number < 4:
            history.end(pending, number + 0.5, Ok(number + 2, PutReply()))
    assert len(history.pending) == 1
    history.close(9.0)
    assert (len(history), history.dropped) == (2, 3)
    read = History.read(path)
    assert (len(read.operations), read.header.seed) == (5, 7)
    assert isinstance(read.operations[-1].outcome, Unknown)
    assert history.end(pending, 10.0, Ok(9)) is None
