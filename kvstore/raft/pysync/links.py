"""What a network between members may do to connections and messages: where partitions and slow links are injected."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from kvstore.raft.replicator import MemberId


class LinkFilter(Protocol):
    """Asked for every connection and message; both sides ask their own."""

    def allows_connect(self, source: MemberId, target: MemberId) -> bool:
        """Whether `source` may connect to `target`."""
        ...

    def allows_message(self, source: MemberId, target: MemberId, kind: str) -> bool:
        """Whether a message of type `kind` gets through."""
        ...


@runtime_checkable
class LinkShaper(LinkFilter, Protocol):
    """A filter that can make links slow, too."""

    @property
    def is_shaping(self) -> bool:
        """Whether any message has to wait."""
        ...

    def release_at(self, source: MemberId, target: MemberId, size_bytes: int, now: float) -> float:
        """When a message that enters the link `now` comes out; never before an earlier one."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call when connections may have to be broken, and what is held may go."""
        ...


class AllowAll:
    """The filter of a healthy network."""

    def allows_connect(self, source: MemberId, target: MemberId) -> bool:
        """Always."""
        return True

    def allows_message(self, source: MemberId, target: MemberId, kind: str) -> bool:
        """Always."""
        return True
