"""Who leads, as a member sees it: changes noticed once a turn, and leading announced when it is complete."""

from collections.abc import Callable, Mapping

import structlog

from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.replicator import MemberId

log = structlog.get_logger(__name__)


class Leadership:
    """`members` are the ids by name.

    `on_change` is called when another member leads, or nobody, or this one does; `on_leading` when this one does and
    has applied all that was committed before, just before that is announced.
    """

    def __init__(
        self,
        sync: GuardedSyncObj,
        members: Mapping[str, MemberId],
        own_name: str,
        callbacks: list[Callable[[bool], None]],
        on_change: Callable[[], None],
        on_leading: Callable[[], None],
    ) -> None:
        self._sync, self._members, self._own_name = sync, members, own_name
        self._callbacks, self._on_change, self._on_leading = callbacks, on_change, on_leading
        self._seen: tuple[object, int] = (None, 0)
        self._known: tuple[object, int] = (None, -1)
        self._answer = (MemberId(0), 0)
        self._is_announced = False

    def notice(self) -> None:
        """Look, and tell who asked to be told of gain and loss."""
        sync = self._sync
        view = sync.leader_and_term()
        if view == self._seen and self._is_announced == sync.is_leader():
            # Nobody else leads, and in one term leading is announced once.
            return
        if view != self._seen:
            self._seen = view
            self._on_change()
            log.info(
                "leader seen", member=self._own_name, leader=sync.leader_name(), term=sync.term()
            )
        is_leading = sync.has_committed_own_term() and not self._is_behind()
        if is_leading != self._is_announced:
            self._is_announced = is_leading
            if is_leading:
                self._on_leading()
            for callback in self._callbacks:
                callback(is_leading)

    def _is_behind(self) -> bool:
        """Leading is announced when all that was committed before is applied, not for each entry after."""
        if self._is_announced:
            return False
        return self._sync.last_applied() < self._sync.commit_index()

    def current(self) -> tuple[MemberId, int]:
        """The leader this member knows, 0 for none, and the term."""
        seen = self._sync.leader_and_term()
        if seen != self._known:
            leader = self._sync.leader_name()
            member = MemberId(0) if leader is None else self._members[leader]
            self._known, self._answer = seen, (member, self._sync.term())
        return self._answer
