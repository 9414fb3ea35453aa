"""Mistakes in how members come and go."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.machine import machine
from kvstore.raft import configuration
from kvstore.raft.pysync import configurations, leading, membership, state
from kvstore.testing.mutants.mutant import BUSY, SNAPSHOTS, Mutant, Patch

_CUTS = ("isolate", "split", "kill", "move-leader")
_SCENES = BUSY | {"change_seconds": 0.0, "spares": 4, "snapshot_count": 10_000}
_CHANGES = BUSY | {"change_seconds": 0.3, "members": 3, "spares": 6}


def _two_at_once() -> Sequence[Patch]:
    def may_change(self: Any) -> bool:
        return self._transfer.target is None and bool(self._sync.has_committed_own_term())

    return [(membership.Membership, "_may_change", property(may_change))]


def _before_own_term() -> Sequence[Patch]:
    def may_change(self: Any) -> bool:
        latest = self._configurations.latest_index
        return self._transfer.target is None and bool(latest <= self._sync.commit_index())

    return [(membership.Membership, "_may_change", property(may_change))]


def _counts_too(which: str) -> Callable[[], Sequence[Patch]]:
    """Acknowledgements and votes of those who are no voters count towards the voters' majority."""

    def patches() -> Sequence[Patch]:
        configure = state.MemberState.configure

        def configured(self: Any, now: Any) -> None:
            known = {*getattr(self, "once", ()), *self.progress}
            configure(self, now)
            self.once = known
            for name, one in self.peers.items():
                is_learner = name in self.progress and not one.is_voter
                is_removed = name not in self.progress and name in known
                if is_learner if which == "learner" else is_removed:
                    one.is_voter = True

        def count_commits(self: Any) -> None:
            matched = [one.match_index for one in self.peers.values() if one.is_voter]
            ends = sorted([*matched, self._journal.durable_index], reverse=True)
            index = min(ends[self.majority() - 1], self._journal.durable_index)
            if index > self.raft_commit and self._journal.term_at(index) == self.raft_term:
                self.told_commit = index
                self.set_commit(index)

        def send_heartbeats(self: Any) -> None:
            now = self._clock.monotonic()
            due = now >= self.heartbeat_deadline
            if due:
                self.heartbeat_deadline = now + self._heartbeat
            for progress in self.peers.values():
                if progress.is_voter or progress.name in self.progress:
                    self._send_entries(progress, force=due)

        def replicate(self: Any) -> None:
            for progress in self.peers.values():
                if progress.is_voter or progress.name in self.progress:
                    self._send_entries(progress, force=False)

        return [
            (state.MemberState, "configure", configured),
            (leading.Leading, "_count_commits", count_commits),
            (leading.Leading, "send_heartbeats", send_heartbeats),
            (leading.Leading, "replicate", replicate),
            (membership.Membership, "meet", lambda self, member: None),
            (membership.Membership, "is_removed", property(lambda _: False, lambda *_: None)),
        ]

    return patches


def _lost_at_a_snapshot() -> Sequence[Patch]:
    def configure(self: Any, index: int, data: bytes) -> None:
        self._applied_index = max(self._applied_index, index)

    return [(machine.StateMachine, "configure", configure)]


def _in_force_when_applied() -> Sequence[Patch]:
    """Without the conditions under which that is safe: nobody knows after a start what was committed."""
    taken = membership.Membership.entry_applied

    def appended(self: Any, index: int, data: bytes) -> None:
        self._known.append((index, configuration.decode_entered(data).configuration))

    def entry_applied(self: Any, index: int, entered: Any) -> None:
        self._in_force(entered.configuration)
        taken(self, index, entered)

    def read(self: Any, journal: Any) -> None:
        return None

    return [
        (configurations.Configurations, "appended", appended),
        (configurations.Configurations, "read", read),
        (membership.Membership, "entry_applied", entry_applied),
    ]


MEMBERSHIP_MUTANTS: dict[str, Mutant] = {
    "two-changes-at-once": Mutant(
        "a change of the members begins before the last is committed",
        _two_at_once,
        ("two-changes",),
        6.0,
        _SCENES | {"members": 3},
        with_changes=True,
    ),
    "change-before-own-term": Mutant(
        "a new leader changes the members before an entry of its term is committed",
        _before_own_term,
        ("early-change",),
        9.0,
        _SCENES | {"members": 4},
        with_changes=True,
    ),
    "learner-counts": Mutant(
        "what learners acknowledge counts",
        _counts_too("learner"),
        ("bystander:learner",),
        6.0,
        _SCENES | {"members": 3},
        with_changes=True,
    ),
    "removed-member-counts": Mutant(
        "what removed members acknowledge counts",
        _counts_too("removed"),
        ("bystander:removed",),
        6.0,
        _SCENES | {"members": 4},
        with_changes=True,
    ),
    "configuration-lost-at-a-snapshot": Mutant(
        "a snapshot does not hold who the members are",
        _lost_at_a_snapshot,
        _CUTS,
        0.8,
        _CHANGES | SNAPSHOTS,
        with_changes=True,
    ),
    "configuration-in-force-when-applied": Mutant(
        "a configuration is in force when it is applied, and what was committed is not known after a start",
        _in_force_when_applied,
        (*_CUTS, "power-loss-all"),
        0.6,
        _CHANGES | {"change_seconds": 0.1},
        with_changes=True,
    ),
}
