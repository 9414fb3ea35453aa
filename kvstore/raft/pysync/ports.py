"""What each level asks of the one around it: the guarded library of the core, the core of the shell."""

from collections.abc import Callable
from typing import Any, Protocol

from kvstore.raft.configuration import Configuration
from kvstore.raft.journal import Entry
from kvstore.raft.pysync.durable_sends import Promise
from kvstore.raft.pysync.messages import Message
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.replicator import MemberId


class Owner(Protocol):
    """What the guarded object asks of the one that drives it."""

    def send(self, node_id: str, message: Message) -> bool:
        """Send at once; False if it was not taken."""
        ...

    def hold(self, node_id: str, message: Promise, covered: int) -> None:
        """Send when term, vote and the log up to `covered` are durable."""
        ...

    def apply_entry(self, entry: Entry) -> None:
        """Apply a committed entry."""
        ...

    def send_snapshot(self, node_id: str, progress: Progress) -> None:
        """Go on sending the snapshot to a member whose next entry is compacted."""
        ...

    def answered(self, node_id: str, number: int) -> None:
        """A member answered message `number` in this term."""
        ...


class Shell(Protocol):
    """What the core asks of its surroundings."""

    def send(self, member: MemberId, message: Message) -> bool:
        """Send to a connected member; False if it was not taken."""
        ...

    def push(self) -> None:
        """Let what was sent leave now, before something else is begun."""
        ...

    def drop(self, member: MemberId) -> None:
        """End the connection to a member; it may come again."""
        ...

    def members_changed(self, configuration: Configuration) -> None:
        """Another configuration is in force: reach its members, and leave alone who is in it no more."""
        ...

    def offload(
        self, thread: str, work: Callable[[], Any], done: Callable[[Any], None] | None = None
    ) -> None:
        """Run `work` in the thread so named, in order, then `done(result)` on the loop. An error is fatal."""
        ...

    def wake(self) -> None:
        """Have `turn` called soon."""
        ...
