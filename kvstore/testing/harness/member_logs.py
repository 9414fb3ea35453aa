"""Log lines of members that run in the caller's process: each member's into a file of its own, as processes write them.

Who runs tests with `pytest -s` wants to see the test's own output. Lines are told apart by the thread they come from,
so what the caller logs goes where it went before. A caller that has configured structlog keeps what it chose.
"""

import re
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import structlog

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _Lines:
    """A logger as structlog wants it; which file a line goes to is decided when it is written."""

    def msg(self, message: str) -> None:
        """Write a line."""
        file = _files.get(threading.current_thread().name)
        if file is None:
            sys.stdout.write(message + "\n")
            return
        with _lock:
            if not file.closed:
                file.write(_COLOURS.sub("", message) + "\n")
                file.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


_lines = _Lines()
_lock = threading.Lock()
_files: dict[str, TextIO] = {}
_is_ours = False


def begin(thread_name: str, path: Path) -> None:
    """Write the lines of that thread to `path`, behind what is there. Raises OSError."""
    global _is_ours
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock:
        if not _is_ours:
            if structlog.is_configured():
                return
            structlog.configure(logger_factory=_factory)
            _is_ours = True
        _files[thread_name] = path.open("a", encoding="utf-8")


def end(thread_name: str) -> None:
    """No more; with the last one structlog is as it was. Idempotent."""
    global _is_ours
    with _lock:
        file = _files.pop(thread_name, None)
        if file is not None:
            file.close()
        if _is_ours and not _files:
            structlog.reset_defaults()
            _is_ours = False


def _factory(*_: Any) -> _Lines:
    return _lines
