"""Which history a member's log belongs to: a number that the first leader of a cluster draws and commits.

Ids of a cluster come from its flags, so they cannot tell it from the cluster that the same flags make anew. That
happens unmeant: while a majority is started on emptied disks and the rest is down, nobody is left who remembers, and
the majority begins a second history (etcd#12227). Whoever comes back with the first one must not go on with the second:
logs of the same terms and indexes would be taken for equal, and the state would be a mixture of both.

So the first entry of the first leader carries the number, every member keeps it beside its term once the entry is
applied, and members that keep different ones do not speak with each other. Who has none yet takes it from the log, with
a snapshot, or, while its log is empty, from any member it meets; and is not caught up before, so that whoever knew its
former disk does not follow it (`guards.may_be_heard`).
"""

from dataclasses import dataclass, field

import structlog

from kvstore.base.clock import Clock
from kvstore.raft.journal import FIRST_BASE, Journal
from kvstore.raft.proposals import Pack, encode_entry
from kvstore.raft.replicator import MemberId

log = structlog.get_logger(__name__)

FACT = "origin"
BITS = 63
"""Of the number; it has to fit a signed integer wherever logs are read."""

_NOBODY = 0
"""In place of a proposer's id: no member has it."""

_SAY_SECONDS = 60.0


@dataclass(slots=True)
class Origin:
    """What this member knows of it, and what the others said."""

    journal: Journal
    clock: Clock
    _must_compare: bool = False
    _said: dict[MemberId, str] = field(default_factory=dict)
    _told: dict[MemberId, tuple[str, float]] = field(default_factory=dict)

    @property
    def known(self) -> str:
        """The number in hexadecimal; empty = not known yet."""
        return self.journal.facts.get(FACT, "")

    def learn(self, number: str) -> None:
        """It was committed, or came with what was. The first one stands."""
        if number and not self.known:
            self.journal.set_fact(FACT, number)
            self._must_compare = True

    def meet(self, member: MemberId, said: object) -> bool:
        """A member was connected and says what it knows; whether it is of the same history."""
        theirs = said if isinstance(said, str) else ""
        self._said[member] = theirs
        if self.journal.last_index <= FIRST_BASE[0]:
            self.learn(theirs)
        return self.is_same(member)

    def strangers(self) -> list[MemberId]:
        """Members that were met before this one knew its own history, and have another."""
        if not self._must_compare:
            return []
        self._must_compare = False
        return [member for member in self._said if not self.is_same(member)]

    def is_same(self, member: MemberId) -> bool:
        """Whether nothing speaks against it; the operator is told what does."""
        own, theirs = self.known, self._said.get(member, "")
        if not own or not theirs or own == theirs:
            return True
        now = self.clock.monotonic()
        told, told_at = self._told.get(member, ("", 0.0))
        if told != theirs or now - told_at > _SAY_SECONDS:
            self._told[member] = (theirs, now)
            log.error(
                "a member has another history of this cluster and is refused: a majority was started on emptied data "
                "directories; stop the side that should not go on and empty its directories",
                member=f"{member:x}",
                own_bootstrap=own,
                other_bootstrap=theirs,
            )
        return False


def entry_of(number: int) -> bytes:
    """The log entry that commits the number."""
    return encode_entry([(_NOBODY, number, [], [])])


def number_in(pack: Pack) -> str:
    """What `entry_of` put there; empty for every other pack."""
    return f"{pack[1]:016x}" if pack[0] == _NOBODY else ""
