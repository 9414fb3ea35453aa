"""The library as imported: which version it must be, and the stand-ins it is built with.

A SyncObj takes its journal and poller from names in its module. They are replaced while one is built and put back
afterwards. Several members may share a process, each on a thread of its own (or all on one, in a simulation): one is
built at a time, and the time that the library sees is the thread's, told before every entry (`ENTERED.at`).
"""

import functools
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvstore.base.clock import Clock
from kvstore.raft.journal import Journal
from kvstore.raft.pysync.imported import Node, Transport, library

LIBRARY_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"


class _Entered(threading.local):
    at: float = 0.0
    """The time of a member's clock when it entered the library on this thread."""


ENTERED = _Entered()
# Without a frame of Python's: it is asked several times a turn.
library.monotonicTime = functools.partial(getattr, ENTERED, "at")

_building = threading.Lock()


class WrongLibrary(RuntimeError):
    """The installed PySyncObj is not the one these overrides were written for."""


def check_library() -> None:
    """Raise WrongLibrary unless syncobj.py is byte for byte the known one."""
    path = Path(library.__file__)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != LIBRARY_SHA256:
        raise WrongLibrary(
            f"{path} has SHA-256 {found}, not that of pysyncobj 0.3.17; install pysyncobj==0.3.17"
        )


class _NoPoller:
    """The library polls nothing: the transport is ours."""

    def poll(self, timeout: float) -> None:
        """Nothing to poll."""


class LibraryJournal:
    """The journal as the library calls it; positions count from the base."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __len__(self) -> int:
        return len(self._journal.entries)

    def __getitem__(self, position: Any) -> Any:
        return self._journal.entries[position]

    def add(self, command: bytes, index: int, term: int) -> None:
        """Append an entry."""
        self._journal.append(command, index, term)

    def deleteEntriesFrom(self, position: int) -> None:
        """Cut from a position on."""
        self._journal.truncate(self._journal.base_index + position - 1)

    def setCurrentTerm(self, term: int, voted_for: str | None) -> None:
        """Remember term and vote."""
        self._journal.set_term(term, voted_for)

    def getCurrentTerm(self) -> int:
        """The remembered term."""
        return self._journal.term

    def getVotedForNodeId(self) -> str | None:
        """The remembered vote."""
        return self._journal.vote

    def setRaftCommitIndex(self, index: int) -> None:
        """Not stored: it is learned again (row 8)."""

    def getRaftCommitIndex(self) -> int:
        """What every log starts with (row 8)."""
        return 1

    def onOneSecondTimer(self) -> None:
        """Nothing to do."""

    def _destroy(self) -> None:
        pass


class LibraryTransport(Transport):  # type: ignore[misc]
    """Hands what the library sends to the guarded object."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.outlet: Callable[[Node, dict[str, Any]], None] | None = None

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Hand a message to the outlet."""
        if self.outlet is not None:
            self.outlet(node, message)
        return True

    def destroy(self) -> None:
        """Nothing to close."""


class LibraryGlobals:
    """While a SyncObj is built: our journal, no poller, no pipe, our clock. Nobody else builds one meanwhile."""

    def __init__(self, journal: LibraryJournal, clock: Clock) -> None:
        self._clock = clock
        self._replaced: dict[str, Any] = {
            "createJournal": lambda _: journal,
            "createPoller": lambda _: _NoPoller(),
            "PIPE_NOTIFIER_ENABLED": False,
        }
        self._saved: dict[str, Any] = {}

    def __enter__(self) -> None:
        _building.acquire()
        ENTERED.at = self._clock.monotonic()
        for name, value in self._replaced.items():
            self._saved[name] = getattr(library, name)
            setattr(library, name, value)

    def __exit__(self, *_: object) -> None:
        for name, value in self._saved.items():
            setattr(library, name, value)
        _building.release()
