"""What members say to each other: one type a message, decoded and checked in one pass.

On the wire a message is a msgpack map whose "type" names it (rows 18 and 19: what no type here names, or lacks a field,
is refused before anything sees it). Fields that a later version adds are ignored by an earlier one. The names on the
wire are those of the library where it has such a message, so that members of different versions understand each other;
here one thing has one name.

Indexes count from 1; `term` is the sender's when it sent, unless it says otherwise. A `number` counts what a leader
sends that is answered, over all members: an answer that repeats it proves that the leader was heard after it was sent.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from kvstore.raft.configuration import Change
from kvstore.raft.journal import Entry
from kvstore.raft.proposals import Pack


class Message(msgspec.Struct, tag_field="type", omit_defaults=True, gc=False):
    """Base of all messages."""


class Hello(Message, tag="hello", rename={"sender": "from"}):
    """The first message on a connection, from both sides. Anything may stand in it: it is looked at piece by piece."""

    version: Any = None
    cluster: Any = None
    sender: Any = None
    facts: Any = None
    """What the sender's core says of itself (`Core.hello`)."""


class AskMembers(Message, tag="ask_members"):
    """In place of a hello, from a process that is to join: who is in the cluster?"""


class Members(Message, tag="members"):
    """These are: their ids, peer URLs, and whether their votes count already. And this is the cluster's id."""

    cluster: int
    members: list[tuple[int, list[str], bool]]


class Ping(Message, tag="ping"):
    """The sender is there."""


class AppendEntries(
    Message,
    tag="append_entries",
    rename={"number": "seq", "previous_index": "prevLogIdx", "previous_term": "prevLogTerm"},
):
    """From a leader: entries that follow (`previous_index`, `previous_term`), one after the other, perhaps none.

    Without a position it says only that the leader lives, and `commit_index` is 0.
    """

    term: int
    number: int
    commit_index: int
    previous_index: int | None = None
    previous_term: int | None = None
    entries: list[Entry] | None = None
    quiet: bool = False
    """Only the commit index is news: no answer is wanted."""


class AppendReply(
    Message, tag="next_node_idx", rename={"number": "seq", "next_index": "next_node_idx"}
):
    """To message `number` of a leader.

    `success`: all before `next_index` is as the leader's, and durable. `reset`: nothing is known to be; go on there.
    Neither: the sender is there.
    """

    term: int
    number: int
    next_index: int
    reset: bool
    success: bool


class RequestVote(
    Message,
    tag="request_vote",
    rename={"last_index": "last_log_index", "last_term": "last_log_term"},
):
    """A candidate whose log ends at (`last_term`, `last_index`). `transfer`: the leader asked it to stand."""

    term: int
    last_index: int
    last_term: int
    transfer: bool


class Vote(Message, tag="response_vote"):
    """For the candidate that asked in `term`."""

    term: int


class PreVote(
    Message,
    tag="pre_vote",
    rename={"last_index": "last_log_index", "last_term": "last_log_term"},
):
    """Would you vote for me in `term`? Changes nothing at the receiver (row 14)."""

    term: int
    last_index: int
    last_term: int


class PreVoteReply(Message, tag="pre_vote_reply"):
    """I would, in `term`."""

    term: int


class StaleTerm(Message, tag="stale_term"):
    """You are in an old term; this is the current one."""

    term: int


class TimeoutNow(Message, tag="timeout_now"):
    """From a leader that hands over: stand for election at once."""

    term: int


class UnknownStore(Message, tag="unknown_store"):
    """You were known under another store: what you had promised is lost (`rejoin`)."""


class CaughtUp(Message, tag="caught_up"):
    """The sender holds again what it had lost, and counts from now on, as `store`."""

    store: str


class Forward(Message, tag="forward"):
    """Proposals for the leader of `term`. `attempt` counts the connections on which its sender tried in vain."""

    term: int
    pack: Pack
    attempt: int = 0


class ForwardRefused(Message, tag="forward_refused"):
    """Proposals `numbers` of boot `nonce`, handed over for `term`, are not in the log and never will be.

    `attempt` is that of the hand-over, or of the question, that this answers.
    """

    term: int
    nonce: int
    numbers: list[int]
    attempt: int = 0


class ForwardLost(Message, tag="forward_lost"):
    """Which of `numbers` of boot `nonce`, forwarded for `term` on connections before `attempt`, were not taken?

    The sender has applied all up to `applied`. What comes late of an attempt before this one is not taken any more.
    """

    term: int
    nonce: int
    numbers: list[int]
    applied: int
    attempt: int


class ReadRequest(Message, tag="read_request"):
    """Which index must be applied to answer reads that began before `question` was asked?"""

    question: int


class ReadReply(Message, tag="read_reply"):
    """This one; None: ask again."""

    question: int
    index: int | None
    """Always on the wire, for it has no default."""


class ChangeRequest(Message, tag="change"):
    """A change of the members for the leader of `term`; `number` of boot `nonce` waits for it."""

    term: int
    nonce: int
    number: int
    change: Change


class ChangeReply(Message, tag="change_reply"):
    """The change was not made. Empty: it may be asked for again; else `configuration.Reason`."""

    nonce: int
    number: int
    reason: str


class Removed(Message, tag="removed"):
    """You were removed from the cluster for good."""


class SnapshotPiece(Message, tag="snapshot", rename={"number": "seq"}):
    """Bytes of a snapshot of the state after (`snapshot_term`, `index`), from `offset` on, of `size` in all."""

    term: int
    number: int
    index: int
    snapshot_term: int
    size: int
    offset: int
    data: bytes
    origin: str = ""
    """What the log would have told (`origin`)."""


class SnapshotReply(Message, tag="snapshot_ack", rename={"number": "seq"}):
    """The snapshot after `index` has arrived up to `offset`."""

    term: int
    number: int
    index: int
    offset: int


ALL: tuple[type[Message], ...] = (
    Hello,
    AskMembers,
    Members,
    Ping,
    AppendEntries,
    AppendReply,
    RequestVote,
    Vote,
    PreVote,
    PreVoteReply,
    StaleTerm,
    TimeoutNow,
    UnknownStore,
    CaughtUp,
    Forward,
    ForwardRefused,
    ForwardLost,
    ReadRequest,
    ReadReply,
    ChangeRequest,
    ChangeReply,
    Removed,
    SnapshotPiece,
    SnapshotReply,
)
KIND: Mapping[type[Message], str] = {one: str(one.__struct_config__.tag) for one in ALL}
"""A message's "type" on the wire, by which link filters know it."""

_decode = msgspec.msgpack.Decoder(
    Hello
    | AskMembers
    | Members
    | Ping
    | AppendEntries
    | AppendReply
    | RequestVote
    | Vote
    | PreVote
    | PreVoteReply
    | StaleTerm
    | TimeoutNow
    | UnknownStore
    | CaughtUp
    | Forward
    | ForwardRefused
    | ForwardLost
    | ReadRequest
    | ReadReply
    | ChangeRequest
    | ChangeReply
    | Removed
    | SnapshotPiece
    | SnapshotReply
).decode
encode = msgspec.msgpack.Encoder().encode


class BadMessage(ValueError):
    """Bytes that no member sends."""


def decode(body: bytes | memoryview) -> Message:
    """The message in `body`. Raises BadMessage."""
    try:
        message: Message = _decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadMessage(str(error)) from error
    if type(message) is AppendEntries:
        _check_position(message)
    return message


def _check_position(message: AppendEntries) -> None:
    """A position is whole or not there, and entries follow it one by one."""
    index, entries = message.previous_index, message.entries
    if index is None:
        if entries or message.previous_term is not None:
            raise BadMessage("entries without a position")
        return
    if entries is None or message.previous_term is None:
        raise BadMessage("half a position")
    for entry in entries:
        index += 1
        if entry[1] != index:
            raise BadMessage(f"entry {entry[1]} stands in the place of {index}")


def append_for_library(
    term: int, commit_index: int, previous_index: int, previous_term: int, entries: Any
) -> dict[str, Any]:
    """AppendEntries with a position as the library reads it."""
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit_index,
        "entries": entries,
        "prevLogIdx": previous_index,
        "prevLogTerm": previous_term,
    }


def sign_of_life_for_library(term: int) -> dict[str, Any]:
    """AppendEntries without a position as the library reads it."""
    return {"type": "append_entries", "term": term, "commit_index": 0}


def vote_for_library(message: RequestVote | Vote | TimeoutNow) -> dict[str, Any]:
    """A message about elections as the library reads it."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain
