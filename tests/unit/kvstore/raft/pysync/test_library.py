"""Members on threads of one process do not get each other's journal or time from the library's module."""

import threading
from typing import Any

from kvstore.base.clock import ManualClock
from kvstore.raft.pysync.imported import library
from kvstore.raft.pysync.library import ENTERED, LibraryGlobals

PATIENCE_SECONDS = 60.0


def test_one_is_built_at_a_time() -> None:
    first, second = object(), object()
    began = threading.Event()
    found: list[Any] = []

    def build_another() -> None:
        began.set()
        with LibraryGlobals(second, ManualClock(2.0)):  # type: ignore[arg-type]
            found.append(library.createJournal(None))

    before = library.createJournal
    other = threading.Thread(target=build_another)
    with LibraryGlobals(first, ManualClock(1.0)):  # type: ignore[arg-type]
        other.start()
        assert began.wait(PATIENCE_SECONDS)
        # Long enough for it to take what is not its turn, if it could.
        other.join(0.05)
        assert found == []
        assert library.createJournal(None) is first
    other.join(PATIENCE_SECONDS)
    assert found == [second]
    assert library.createJournal is before


def test_each_thread_has_its_own_time() -> None:
    seen: list[float] = []

    def enter_later() -> None:
        ENTERED.at = 200.0
        seen.append(library.monotonicTime())

    ENTERED.at = 100.0
    other = threading.Thread(target=enter_later)
    other.start()
    other.join(PATIENCE_SECONDS)
    assert seen == [200.0]
    assert library.monotonicTime() == 100.0
