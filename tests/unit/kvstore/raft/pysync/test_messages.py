"""Messages between members: what is one, what it is on the wire, and what is refused."""

from typing import Any

import msgspec
import pytest

from kvstore.raft.configuration import Change
from kvstore.raft.pysync import messages
from kvstore.raft.pysync.messages import (
    KIND,
    AppendEntries,
    AppendReply,
    AskMembers,
    BadMessage,
    CaughtUp,
    ChangeReply,
    ChangeRequest,
    Forward,
    ForwardLost,
    ForwardRefused,
    Hello,
    Members,
    Message,
    Ping,
    PreVote,
    PreVoteReply,
    ReadReply,
    ReadRequest,
    Removed,
    RequestVote,
    SnapshotPiece,
    SnapshotReply,
    StaleTerm,
    TimeoutNow,
    UnknownStore,
    Vote,
)
from kvstore.raft.replicator import MemberId

# What members of earlier versions send and expect, field by field.
WIRE: list[tuple[Message, dict[str, Any]]] = [
    (
        Hello(1, 5, 2, {"store": "s"}),
        {"version": 1, "cluster": 5, "from": 2, "facts": {"store": "s"}},
    ),
    (AskMembers(), {}),
    (
        Members(5, [(2, ["http://b:2380"], True)]),
        {"cluster": 5, "members": [[2, ["http://b:2380"], True]]},
    ),
    (Ping(), {}),
    (
        AppendEntries(3, 9, 7, 6, 2, [(b"x", 7, 3)]),
        {
            "term": 3,
            "seq": 9,
            "commit_index": 7,
            "prevLogIdx": 6,
            "prevLogTerm": 2,
            "entries": [[b"x", 7, 3]],
        },
    ),
    (
        AppendEntries(3, 9, 7, 6, 2, [], quiet=True),
        {
            "term": 3,
            "seq": 9,
            "commit_index": 7,
            "prevLogIdx": 6,
            "prevLogTerm": 2,
            "entries": [],
            "quiet": True,
        },
    ),
    (AppendEntries(3, 9, 0), {"term": 3, "seq": 9, "commit_index": 0}),
    (
        AppendReply(3, 9, 8, False, True),
        {"term": 3, "seq": 9, "next_node_idx": 8, "reset": False, "success": True},
    ),
    (
        RequestVote(4, 7, 3, transfer=True),
        {"term": 4, "last_log_index": 7, "last_log_term": 3, "transfer": True},
    ),
    (Vote(4), {"term": 4}),
    (PreVote(4, 7, 3), {"term": 4, "last_log_index": 7, "last_log_term": 3}),
    (PreVoteReply(4), {"term": 4}),
    (StaleTerm(4), {"term": 4}),
    (TimeoutNow(4), {"term": 4}),
    (UnknownStore(), {}),
    (CaughtUp("s"), {"store": "s"}),
    (Forward(3, (1, 2, [3], [b"c"])), {"term": 3, "pack": [1, 2, [3], [b"c"]]}),
    (
        Forward(3, (1, 2, [3], [b"c"]), 4),
        {"term": 3, "pack": [1, 2, [3], [b"c"]], "attempt": 4},
    ),
    (
        ForwardLost(3, 2, [3], 7, 4),
        {"term": 3, "nonce": 2, "numbers": [3], "applied": 7, "attempt": 4},
    ),
    (ForwardRefused(3, 2, [3]), {"term": 3, "nonce": 2, "numbers": [3]}),
    (ReadRequest(8), {"question": 8}),
    (ReadReply(8, None), {"question": 8, "index": None}),
    (
        ChangeRequest(3, 9, 1, Change("add", MemberId(4), ("http://d:2380",))),
        {"term": 3, "nonce": 9, "number": 1, "change": ["add", 4, ["http://d:2380"]]},
    ),
    (ChangeReply(9, 1, "not-found"), {"nonce": 9, "number": 1, "reason": "not-found"}),
    (Removed(), {}),
    (
        SnapshotPiece(3, 9, 7, 2, 100, 50, b"d"),
        {
            "term": 3,
            "seq": 9,
            "index": 7,
            "snapshot_term": 2,
            "size": 100,
            "offset": 50,
            "data": b"d",
        },
    ),
    (SnapshotReply(3, 9, 7, 51), {"term": 3, "seq": 9, "index": 7, "offset": 51}),
]
APPEND = {"type": "append_entries"} | WIRE[4][1]
KINDS = [KIND[type(message)] for message, _ in WIRE]


def test_every_message_is_among_them() -> None:
    assert {type(message) for message, _ in WIRE} == set(messages.ALL)


@pytest.mark.parametrize(("message", "fields"), WIRE, ids=KINDS)
def test_a_message_is_on_the_wire_what_it_always_was(
    message: Message, fields: dict[str, Any]
) -> None:
    body = messages.encode(message)
    plain = {"type": KIND[type(message)]} | fields
    assert msgspec.msgpack.decode(body) == plain
    assert messages.decode(msgspec.msgpack.encode(plain)) == message
    assert len(body) == len(msgspec.msgpack.encode(plain))


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(APPEND | {"entries": [[b"", 8, 1]]}, id="gap_in_entries"),
        pytest.param(APPEND | {"entries": ["x"]}, id="entry_is_no_entry"),
        pytest.param(APPEND | {"entries": [[b"", 7]]}, id="entry_without_a_term"),
        pytest.param(APPEND | {"term": "1"}, id="term_is_text"),
        pytest.param({key: APPEND[key] for key in APPEND if key != "seq"}, id="field_is_missing"),
        pytest.param(
            {key: APPEND[key] for key in APPEND if key != "prevLogTerm"}, id="half_a_position"
        ),
        pytest.param({key: APPEND[key] for key in APPEND if key != "prevLogIdx"}, id="no_position"),
        pytest.param({"type": "apply_command", "command": b""}, id="library_forwarding"),
        pytest.param({"type": ["append_entries"]}, id="type_is_a_list"),
        pytest.param({"type": "forward", "term": 1, "pack": [1, 2, ["3"], [b""]]}, id="bad_pack"),
        pytest.param([], id="no_map"),
    ],
)
def test_what_no_member_sends_is_refused(plain: object) -> None:
    with pytest.raises(BadMessage):
        messages.decode(msgspec.msgpack.encode(plain))


def test_fields_of_later_versions_are_ignored() -> None:
    later = {"type": "stale_term", "term": 4, "reason": "x"}
    assert messages.decode(msgspec.msgpack.encode(later)) == StaleTerm(4)


def test_depth_is_no_way_to_end_a_member() -> None:
    with pytest.raises(BadMessage):
        messages.decode(b"\x91" * 100_000)
