"""Container logs in the form that CRI prescribes, so that log shippers can read them.

    2024-05-01T12:00:00.123456789Z stdout F one whole line
    2024-05-01T12:00:00.123456789Z stderr P the first part of a line too long for one entry

A log is rotated at 10 MiB; five files are kept: `x.log`, `x.log.1` (younger) .. `x.log.4`.
"""

import asyncio
import io
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from controlplane.api import times
from controlplane.kubelet.runtimes.interface import LogOptions
from kvstore.base.clock import Clock

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

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.closed = False
        self._clock = clock
        self._file: io.FileIO = open(path, "ab", buffering=0)  # noqa: SIM115
        self._size = self._file.tell()
        self._rest = {b"stdout": b"", b"stderr": b""}
        self._wakers: set[asyncio.Event] = set()

    def feed(self, stream: bytes, data: bytes) -> None:
        """Output of `stream` (stdout or stderr)."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        entries: list[bytes] = []
        head = stamp(self._clock.time()) + b" " + stream
        for line in lines:
            self._entries(entries, head, line, whole=True)
        while len(rest) >= MAX_LINE_BYTES:
            entries.append(head + b" P " + rest[:MAX_LINE_BYTES] + b"\n")
            rest = rest[MAX_LINE_BYTES:]
        self._rest[stream] = rest
        self._write(b"".join(entries))

    def close(self) -> None:
        """Write what has no line end, and end the followers."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._write(stamp(self._clock.time()) + b" " + stream + b" F " + rest + b"\n")
        self.closed = True
        self._file.close()
        self._wake()

    def watch(self, waker: asyncio.Event) -> None:
        """Set `waker` after every write, until `unwatch`."""
        self._wakers.add(waker)

    def unwatch(self, waker: asyncio.Event) -> None:
        """Stop that."""
        self._wakers.discard(waker)

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
        for waker in self._wakers:
            waker.set()


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


def render(entry: bytes, options: LogOptions) -> bytes | None:
    """A log entry as `kubectl logs` shows it; None if it is older than asked for or garbled."""
    parts = entry.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 4:
        return None
    when, _, tag, text = parts
    if options.since is not None:
        written = times.parse_or_none(when.decode(errors="replace"))
        if written is not None and written < options.since:
            return None
    shown = text + (b"\n" if tag.startswith(b"F") else b"")
    return when + b" " + shown if options.timestamps else shown


async def read_log(
    path: Path, options: LogOptions, writer: CriLogWriter | None
) -> AsyncIterator[bytes]:
    """The log as plain text; with `follow` it ends when the writer does."""
    waker = asyncio.Event()
    follow = options.follow and writer is not None
    if follow and writer is not None:
        writer.watch(waker)
    left = options.limit_bytes
    try:
        position = _Position(path)
        source: Iterator[bytes] | deque[bytes] = _shown(position.existing(), options)
        if options.tail_lines is not None:
            source = deque(source, maxlen=options.tail_lines)
        while True:
            for shown in source:
                if left is not None:
                    if left <= 0:
                        return
                    shown, left = shown[:left], left - len(shown)
                yield shown
            if not follow or writer is None:
                return
            ended = writer.closed
            source = _shown(position.new(), options)
            if ended:
                follow = False
                continue
            await waker.wait()
            waker.clear()
    finally:
        if writer is not None:
            writer.unwatch(waker)


def _shown(entries: Iterator[bytes], options: LogOptions) -> Iterator[bytes]:
    return (shown for entry in entries if (shown := render(entry, options)) is not None)


class _Position:
    """Where a reader is; survives one rotation between two looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode = 0

    def existing(self) -> Iterator[bytes]:
        """All entries there are, then stay at the end."""
        for file in log_files(self._path):
            yield from self._read(file, 0)

    def new(self) -> Iterator[bytes]:
        """Entries written since."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return
        if inode != self._inode:
            before = rotated(self._path, 1)
            if before.exists() and before.stat().st_ino == self._inode:
                yield from self._read(before, self._offset)
            yield from self._read(self._path, 0)
        else:
            yield from self._read(self._path, self._offset)

    def _read(self, file: Path, offset: int) -> Iterator[bytes]:
        with open(file, "rb") as stream:
            self._inode = os.fstat(stream.fileno()).st_ino
            stream.seek(offset)
            self._offset = offset
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # Being written: next time.
                self._offset += len(line)
                yield line
