"""When a member counts that starts empty or comes back with an empty disk, and how others learn of it (`rejoin`)."""

from collections.abc import Callable

import structlog

from kvstore.raft.journal import Journal
from kvstore.raft.pysync.configurations import Configurations
from kvstore.raft.pysync.messages import CaughtUp, UnknownStore
from kvstore.raft.pysync.origin import Origin
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.rejoin import Rejoin
from kvstore.raft.pysync.state import node_name
from kvstore.raft.replicator import MemberId

log = structlog.get_logger(__name__)


class Recovery:
    """Facts of the journal about stores: "store" is this member's, "peer:…" another's, "caught_up" that it counts.

    `send` sends to a member by name; `is_joined`: this member was added to a cluster that was there before it.
    """

    def __init__(
        self,
        sync: GuardedSyncObj,
        journal: Journal,
        rejoin: Rejoin,
        origin: Origin,
        shell: Shell,
        send: Callable[[str, CaughtUp], bool],
        configurations: Configurations,
        own: MemberId,
        *,
        is_joined: bool,
    ) -> None:
        self._sync, self._journal, self._rejoin = sync, journal, rejoin
        self._origin = origin
        self._shell, self._send = shell, send
        self._configurations, self._is_joined, self._own = configurations, is_joined, own

    def begin(self, *, is_emptied: bool) -> None:
        """At a start: a member that is known to have lost what it promised does not vote, also after the next start."""
        if is_emptied:
            self._journal.set_fact("emptied", "yes")
        if self._journal.facts.get("emptied") == "yes" and not self.is_caught_up:
            self._sync.may_vote = False
            self._rejoin.is_emptied = True

    @property
    def is_caught_up(self) -> bool:
        """Whether this member holds what it had promised."""
        return self._journal.facts.get("caught_up") == "yes"

    @property
    def may_be_counted(self) -> bool:
        """Whether it may say so: not before it cannot be forgotten any more."""
        return self.is_caught_up and not self._rejoin.must_tell

    def meet(self, member: MemberId, store: str, *, is_caught_up: bool) -> None:
        """Another member, newly connected, is `store`."""
        fact = f"peer:{member:x}"
        known = self._journal.facts.get(fact)
        is_new = known is None
        # Who was there before this one held everything once. If it does not now, it lost its disk unseen from here.
        is_doubtful = is_new and self._is_joined and not is_caught_up
        is_emptied = not is_new and known != store and not is_caught_up
        name = node_name(member)
        self._sync.peers[name].is_emptied = is_emptied or is_doubtful
        if is_doubtful:
            log.info("member is not counted before it says that it holds everything", member=name)
        elif is_emptied:
            # It lost what it had promised: it must not vote before it holds it again.
            log.warning("member came back with an empty store", member=name)
            self._shell.send(member, UnknownStore())
        else:
            self._journal.set_fact(fact, store)

    def on_unknown_store(self, member: MemberId, message: UnknownStore) -> None:
        """Another member knew this one under another store."""
        if self.is_caught_up:
            # Said of the hello before it caught up, and late: nothing would let it vote again.
            return
        if self._sync.may_vote:
            log.warning("this member lost its data; it votes again once it has caught up")
        self._sync.may_vote = False
        self._rejoin.is_emptied = True

    def on_caught_up(self, member: MemberId, message: CaughtUp) -> None:
        """Another member holds again what it had lost."""
        self._journal.set_fact(f"peer:{member:x}", message.store)
        self._sync.peers[node_name(member)].is_emptied = False

    def notice(self) -> None:
        """Count from now on, if this member holds what it must."""
        sync, rejoin = self._sync, self._rejoin
        lost_until: int | None = 0
        if rejoin.is_emptied:
            target = rejoin.index
            holds = min(sync.last_applied(), self._journal.durable_index)
            # Also by what may not come to be: whoever was a voter may have got the forgotten vote.
            others = self._configurations.voters() - {self._own}
            lost_until = rejoin.lost_votes_until(node_name(one) for one in others)
        else:
            target = sync.commit_index() if sync.is_leader() else sync.leader_commit
            holds = sync.last_applied()
        # Without an origin it may be one of a majority that lost its disks, of which the others cannot know.
        if 1 < target <= holds and lost_until is not None and self._origin.known:
            sync.forgo_votes(lost_until)
            self._journal.set_fact("caught_up", "yes")
            rejoin.must_tell = True
            rejoin.is_emptied = False
            sync.may_vote = True
            self._shell.wake()

    def tell(self) -> None:
        """Once this cannot be forgotten any more, the others may count this member again."""
        if self._rejoin.must_tell and self._journal.is_vote_durable:
            self._rejoin.must_tell = False
            message = CaughtUp(self._journal.facts["store"])
            for progress in self._sync.connected_peers():
                self._send(progress.name, message)
