"""Reads container logs as `kubectl logs` shows them, and follows those still written; see cri_log.py for their form."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

from controlplane.api import times
from controlplane.kubelet.runtimes.cri_log import log_files, rotated
from controlplane.kubelet.runtimes.interface import LogOptions


class Followed(Protocol):
    """A log that may still grow."""

    @property
    def closed(self) -> bool:
        """Nothing more will be written."""
        ...

    def watch(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every write and at the end, until `unwatch`."""
        ...

    def unwatch(self, listener: Callable[[], None]) -> None:
        """Stop that."""
        ...


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
    path: Path, options: LogOptions, writer: Followed | None
) -> AsyncIterator[bytes]:
    """The log as plain text; with `follow` it ends when the writer does."""
    waker = asyncio.Event()
    follow = options.follow and writer is not None
    if follow and writer is not None:
        writer.watch(waker.set)
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
            writer.unwatch(waker.set)


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
