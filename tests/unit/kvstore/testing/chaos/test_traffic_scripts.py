"""Traffic against the sequential model of the store: pure scripts, all kinds, and a report of what they did."""

import itertools
import random
import re

import pytest

from kvstore.testing.chaos.traffic import (
    KINDS,
    Begin,
    End,
    Pause,
    TrafficSpec,
    client_plans,
    watch_plans,
)
from kvstore.testing.check.violation import Violation
from kvstore.testing.harness.report import MAX_OPERATIONS, page_data, render
from kvstore.testing.history.history import History
from kvstore.testing.history.records import (
    Failed,
    FaultRecord,
    Guarded,
    KeyValue,
    LeaderRecord,
    LeaseGrant,
    LeaseReply,
    LockReply,
    Ok,
    Operation,
    Outcome,
    Put,
    PutReply,
    Range,
    RangeReply,
    Request,
    Txn,
    TxnReply,
    Unknown,
)


class NaiveStore:
    """Just enough of a store for scripts to go on: puts, mod and create compares, ranges."""

    def __init__(self) -> None:
        self.kvs: dict[bytes, KeyValue] = {}
        self.revision = 1
        self.ids = itertools.count(7)

    def answer(self, request: Request) -> Outcome:
        if isinstance(request, LeaseGrant):
            return Ok(self.revision, LeaseReply(next(self.ids), request.ttl))
        if isinstance(request, Range):
            return Ok(self.revision, self.range(request))
        if isinstance(request, Put):
            return Ok(self.put(request.key, request.value), PutReply())
        if isinstance(request, Txn):
            return Ok(self.revision, self.txn(request))
        return Ok(self.revision)

    def put(self, key: bytes, value: bytes) -> int:
        self.revision += 1
        old = self.kvs.get(key)
        created = old.create_revision if old else self.revision
        self.kvs[key] = KeyValue(key, value, created, self.revision, 1)
        return self.revision

    def range(self, request: Range) -> RangeReply:
        end = request.range_end or request.key + b"\0"
        found = [kv for key, kv in sorted(self.kvs.items()) if request.key <= key < end]
        if request.sort_target == 2:
            found.sort(key=lambda kv: kv.create_revision)
        cut = found[: request.limit] if request.limit else found
        return RangeReply(tuple(cut), len(found), len(cut) < len(found))

    def txn(self, request: Txn) -> TxnReply:
        holds = all(
            getattr(self.kvs.get(one.key, KeyValue(one.key)), f"{one.target}_revision", 1)
            == one.number
            for one in request.compares
        )
        replies = []
        for op in request.success if holds else request.failure:
            if isinstance(op, Put):
                self.put(op.key, op.value)
                replies.append(PutReply())
            elif isinstance(op, Range):
                replies.append(self.range(op))
        return TxnReply(holds, tuple(replies))


def run(kind: str, steps: int, seed: int = 1, answer: Outcome | None = None) -> list[object]:
    store = NaiveStore()
    [plan] = client_plans(random.Random(seed), TrafficSpec((kind,), clients=1))
    done: list[object] = []
    step = next(plan.script)
    for _ in range(steps):
        done.append(step)
        is_request = not isinstance(step, Pause | Begin | End)
        step = plan.script.send((answer or store.answer(step)) if is_request else None)
    return done


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "watch"])
def test_scripts_are_pure_and_go_on_whatever_happens(kind: str) -> None:
    assert run(kind, 300) == run(kind, 300)
    assert len(run(kind, 300, answer=Failed("NoLeader"))) == 300
    assert len(run(kind, 300, answer=Unknown("DeadlineExceeded"))) == 300


def test_values_are_unique_so_that_reads_tell_their_write() -> None:
    values: list[bytes] = []
    for kind in ("registers", "cas", "txn"):
        for step in run(kind, 600):
            ops = [step, *step.success, *step.failure] if isinstance(step, Txn) else [step]
            values += [op.value for op in ops if isinstance(op, Put)]
    txn_branches_share_nothing = len(values) == len(set(values))
    assert txn_branches_share_nothing


def test_a_lock_is_taken_used_with_its_token_and_let_go() -> None:
    done = run("locks", 400)
    tokens = [one.token for one in done if isinstance(one, Guarded)]
    taken = [
        one.outcome.reply.token
        for one in done
        if isinstance(one, End)
        and isinstance(one.outcome, Ok)
        and isinstance(one.outcome.reply, LockReply)
    ]
    assert taken
    assert set(tokens) <= set(taken)
    begins = [one for one in done if isinstance(one, Begin)]
    ends = [one for one in done if isinstance(one, End)]
    assert 0 <= len(begins) - len(ends) <= 1


def test_unknown_traffic_is_refused() -> None:
    with pytest.raises(ValueError, match="there is registers"):
        client_plans(random.Random(1), TrafficSpec(("gossip",)))


def test_watchers_come_with_the_traffic_they_belong_to() -> None:
    rng = random.Random(1)
    assert watch_plans(rng, TrafficSpec(("cas",))) == []
    assert [plan.name for plan in watch_plans(rng, TrafficSpec(("kubernetes",)))] == ["watch-pods"]
    assert len(watch_plans(rng, TrafficSpec(KINDS))) == 6


def make_history(count: int) -> History:
    history = History(seed=3, info={"command": "quorate chaos --seed 3"})
    history.append(LeaderRecord(10.0, "m1", 2))
    history.append(FaultRecord(11.0, "kill", ("m1",), True, "kill m1 </script><b>"))
    for number in range(1, count + 1):
        at = 10.0 + number / 100
        history.append(
            Operation(number, f"c{number % 4}", Put(b"k", b"<%d>" % number), at, at + 0.01, Ok(2))
        )
    return history


def test_the_page_stands_alone_and_shows_who_broke_a_promise() -> None:
    violation = Violation("linearizable", "k was <lost>", (5,), 10.05)
    page = render(make_history(20), [violation], title="seed <3>")
    assert "{{" not in page
    assert not re.search(r"""(src|href)\s*=|https?://|@import|url\(""", page)
    assert page.count("</script>") == 2, "data must not end its element"
    assert "seed &lt;3&gt;" in page
    assert "k was <lost>" in page.replace("\\u003c", "<")
    assert "[5,1,50.0,10.0,4," in page


def test_the_page_is_bounded_and_keeps_what_matters() -> None:
    history = make_history(60_000)
    violation = Violation("watch", "skipped", (123, 59_999))
    page = render(history, [violation], title="t")
    assert len(page) < 3_000_000
    shown = page.count(",10.0,0,") + page.count(",10.0,4,")
    assert 1000 < shown <= MAX_OPERATIONS + 2
    for guilty in (123, 59_999):
        assert f"[{guilty}," in page


def test_an_empty_history_has_a_page() -> None:
    assert "no violation" in render(History(), [], title="nothing")


def test_the_same_fault_twice_at_once_ends_twice() -> None:
    history = make_history(1000)
    for at, is_on in ((12.0, True), (13.0, True), (14.0, False), (15.0, False)):
        history.append(FaultRecord(at, "pause", ("m2",), is_on, "pause m2"))
    spans = [one[2:4] for one in page_data(history, [])["faults"] if one[0] == "pause"]
    assert spans == [[2.0, 4.0], [3.0, 5.0]]
