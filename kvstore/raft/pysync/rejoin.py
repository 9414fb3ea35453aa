"""How a member that lost its disk gets its vote back.

What it had acknowledged and whom it had voted for is forgotten, so the others must not count it: not its votes, not its
acknowledgements, not its answers that prove leadership. It counts again when it holds all that was committed when it
came back. The leader it hears may be a deposed one that knows less, so it asks for an index as for a linearizable
read: that leader must be confirmed by a majority that this member is no part of. Any majority that it once was
part of has a member in common with that one.

One candidate may still wait for more votes beside the one that is forgotten, and that majority may not know of it. So
this member also has to hear every other one, on a connection of this boot, say which term it is in: whomever the
forgotten vote went to is then in its term, or a later one. Up to the highest of them it never votes again. Until all
were heard it stays what a member without a disk is: one that failed.
"""

from collections.abc import Iterable


class Rejoin:
    """What a member knows of its own return."""

    def __init__(self) -> None:
        self.is_emptied = False
        """Others said that they knew this member under another store."""
        self.must_tell = False
        """It caught up; the others are told once that is durable."""
        self.index = 0
        """What it must hold before it counts; 0 = not known yet."""
        self._question = 0
        self._terms: dict[str, int] = {}

    def heard(self, name: str, term: int) -> None:
        """Another member, newly connected, is in `term`."""
        self._terms[name] = max(term, self._terms.get(name, 0))

    def lost_votes_until(self, others: Iterable[str]) -> int | None:
        """The last term in which the forgotten vote may have been given; None before all `others` were heard."""
        if any(name not in self._terms for name in others):
            return None
        return max(self._terms.values(), default=0)

    @property
    def must_ask(self) -> bool:
        """Whether the leader should be asked for the index."""
        return self.is_emptied and not self.index and not self._question

    def asked(self, question: int) -> None:
        """`question` is on its way to the leader, for whoever waits."""
        if self.must_ask:
            self._question = question

    def told(self, question: int, index: int | None) -> None:
        """The leader's answer to `question`; None = ask again."""
        if question == self._question:
            self._question = 0
            self.index = index or 0

    def start_over(self) -> None:
        """The question is lost."""
        self._question = 0
