"""Sending to a member goes one way, whether faults can be injected or not."""

import random
from pathlib import Path
from typing import Any

import pytest

from kvstore.base.clock import ManualClock
from kvstore.faults.kinds import LinkFault
from kvstore.faults.network import NetworkFaults
from kvstore.raft.pysync.frames import encode
from kvstore.raft.pysync.links import AllowAll, LinkFilter
from kvstore.raft.pysync.messages import AppendEntries, Message, StaleTerm
from kvstore.raft.pysync.transport import PeerTransport
from kvstore.raft.replicator import MemberId, RaftSettings

NEWS = AppendEntries(1, 1, 2, 2, 1, [], quiet=True)
ENTRIES = AppendEntries(1, 1, 2, 2, 1, [(b"x", 3, 1)])


def no_faults() -> NetworkFaults:
    return NetworkFaults(1, {"a": 1, "b": 2}, random.Random(1))


class Recording:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bool]] = []
        self.delayed_out = None

    def write(self, frame: bytes, *, is_urgent: bool = True) -> bool:
        self.sent.append((frame, is_urgent))
        return True


def transport_with(link_filter: LinkFilter) -> tuple[PeerTransport, Recording]:
    peers = {MemberId(1): ("h", 1), MemberId(2): ("h", 2)}
    settings = RaftSettings(member_id=MemberId(1), peers=peers, data_dir=Path("unused"))
    events: Any = None
    made = PeerTransport(settings, ManualClock(), random.Random(1), events, link_filter)
    connection: Any = Recording()
    made._live[MemberId(2)] = connection
    return made, connection


@pytest.mark.parametrize("make", [AllowAll, no_faults], ids=["no_filter", "fault_filter"])
@pytest.mark.parametrize(
    ("message", "is_urgent"),
    [
        pytest.param(NEWS, False, id="word_of_a_commit_waits_for_answers_of_the_turn"),
        pytest.param(ENTRIES, True, id="entries_do_not"),
        pytest.param(StaleTerm(2), True, id="nor_anything_else"),
    ],
)
def test_what_is_urgent_is_so_under_a_fault_filter_too(
    make: Any, message: Message, is_urgent: bool
) -> None:
    transport, connection = transport_with(make())
    assert transport.send(MemberId(2), message)
    assert connection.sent == [(encode(message), is_urgent)]


def test_a_message_that_a_fault_drops_is_sent_as_far_as_the_sender_knows() -> None:
    faults = no_faults()
    transport, connection = transport_with(faults)
    faults.set([LinkFault("b", drop=1.0)])
    assert transport.send(MemberId(2), ENTRIES)
    assert connection.sent == []


def test_nobody_is_sent_to_who_is_not_connected() -> None:
    transport, _ = transport_with(AllowAll())
    assert not transport.send(MemberId(1), ENTRIES)
