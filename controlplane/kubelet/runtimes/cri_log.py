"""Container logs in the form that CRI prescribes, so that log shippers can read them.

    2024-05-01T12:00:00.123456789Z stdout F one whole line
    2024-05-01T12:00:00.123456789Z stderr P the first part of a line too long for one entry

A log is rotated at 10 MiB; five files are kept: `x.log`, `x.log.1` (younger) .. `x.log.4`. This module writes; it needs
nothing but the standard library, since small processes without site packages write logs too.
"""

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 5
MAX_LINE_BYTES = 16 * 1024
"""Longer lines are cut into parts, as runtimes do."""


def stamp(seconds: float) -> bytes:
    """RFC 3339 with nine digits."""
    whole = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{int(seconds % 1 * 1e9):09d}Z".encode()


class CriLogWriter:
    """Takes raw output, writes log entries. Not buffered beyond an unfinished line."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self.closed = False
        self._now = now
        self._file: io.FileIO = open(path, "ab", buffering=0)  # noqa: SIM115
        self._size = self._file.tell()
        self._rest = {b"stdout": b"", b"stderr": b""}
        self._listeners: set[Callable[[], None]] = set()

    def feed(self, stream: bytes, data: bytes) -> None:
        """Output of `stream` (stdout or stderr)."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        entries: list[bytes] = []
        head = stamp(self._now()) + b" " + stream
        for line in lines:
            self._entries(entries, head, line, whole=True)
        while len(rest) >= MAX_LINE_BYTES:
            entries.append(head + b" P " + rest[:MAX_LINE_BYTES] + b"\n")
            rest = rest[MAX_LINE_BYTES:]
        self._rest[stream] = rest
        self._write(b"".join(entries))

    def close(self) -> None:
        """Write what has no line end as a part of a line, as runtimes do, and end the followers."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._write(stamp(self._now()) + b" " + stream + b" P " + rest + b"\n")
        self.closed = True
        self._file.close()
        self._wake()

    def watch(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every write and at the end, until `unwatch`."""
        self._listeners.add(listener)

    def unwatch(self, listener: Callable[[], None]) -> None:
        """Stop that."""
        self._listeners.discard(listener)

    def _entries(self, entries: list[bytes], head: bytes, line: bytes, *, whole: bool) -> None:
        while len(line) > MAX_LINE_BYTES:
            entries.append(head + b" P " + line[:MAX_LINE_BYTES] + b"\n")
            line = line[MAX_LINE_BYTES:]
        entries.append(head + (b" F " if whole else b" P ") + line + b"\n")

    def _write(self, data: bytes) -> None:
        if not data or self.closed:
            return
        self._file.write(data)
        self._size += len(data)
        if self._size >= MAX_BYTES:
            self._rotate()
        self._wake()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(MAX_FILES - 1, 0, -1):
            older = rotated(self.path, number)
            younger = rotated(self.path, number - 1)
            if younger.exists():
                os.replace(younger, older)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        self._size = 0

    def _wake(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def rotated(path: Path, number: int) -> Path:
    """The file name after `number` rotations."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def log_files(path: Path) -> list[Path]:
    """The files of a log, oldest first."""
    files = [rotated(path, number) for number in range(MAX_FILES - 1, -1, -1)]
    return [file for file in files if file.exists()]


def remove_log(path: Path) -> None:
    """Delete a log with its rotated files."""
    for file in log_files(path):
        file.unlink(missing_ok=True)
