"""Which configuration is in force by a log: the last that stands in it, or the one that it began with."""

from collections.abc import Callable

from kvstore.raft.configuration import Configuration, decode_entered, is_configuration
from kvstore.raft.journal import Journal
from kvstore.raft.replicator import MemberId


class Configurations:
    """Those in the log of one member, with the indexes of their entries; a `journal.ConfigurationWatch`.

    `on_change` is called whenever another one is in force, before anything else happens.
    """

    def __init__(self, index: int, base: Configuration) -> None:
        self._known: list[tuple[int, Configuration]] = [(index, base)]
        self.on_change: Callable[[Configuration], None] = lambda configuration: None

    def read(self, journal: Journal) -> None:
        """Take in those that stand in a journal that was just opened."""
        for data, index, _ in journal.entries[1:]:
            if is_configuration(data) and index > self._known[0][0]:
                self._known.append((index, decode_entered(data).configuration))

    @property
    def latest(self) -> Configuration:
        """The one in force."""
        return self._known[-1][1]

    @property
    def latest_index(self) -> int:
        """The entry that brought it; what a snapshot held counts as its last entry."""
        return self._known[-1][0]

    def voters(self) -> set[MemberId]:
        """Whoever votes by one that may be committed, or was when all that is applied here was the log."""
        return {member for _, one in self._known for member in one.voters}

    def at(self, index: int) -> Configuration:
        """The one that was in force when all up to `index` was the log."""
        return next(
            one for at, one in reversed(self._known) if at <= index or at == self._known[0][0]
        )

    def appended(self, index: int, data: bytes) -> None:
        """Entry `index` is a configuration."""
        self._known.append((index, decode_entered(data).configuration))
        self.on_change(self.latest)

    def truncated(self, last_index: int) -> None:
        """All above `last_index` is gone. What the log began with is committed, and stays."""
        before = self.latest_index
        while len(self._known) > 1 and self._known[-1][0] > last_index:
            self._known.pop()
        if self.latest_index != before:
            self.on_change(self.latest)

    def rebase(self, index: int, base: Configuration) -> None:
        """A snapshot after `index` has taken the place of what was before; those behind it stay."""
        self._known = [(index, base), *(one for one in self._known if one[0] > index)]
        self.on_change(self.latest)

    def compacted(self, index: int) -> None:
        """All up to `index` is committed and need not be told apart any more."""
        keep = [one for one in self._known if one[0] > index]
        base = self.at(index)
        if len(keep) + 1 < len(self._known):
            self._known = [(index, base), *keep]
