"""The output of a container: read into its log, and passed on to those who are attached.

A reader who is slow makes the container wait, as a slow terminal would; nothing is dropped and nothing piles up.
"""

import contextlib
import fcntl
import os
import selectors
import time
from collections.abc import Callable
from pathlib import Path

from controlplane.kubelet.runtimes.cri_log import CriLogWriter

_CHUNK = 64 * 1024
_PIPE_BYTES = 1024 * 1024


class _Attached:
    """The writing ends of one who listens: by stream, with what did not fit yet."""

    def __init__(self, ends: dict[bytes, int]) -> None:
        self.ends = ends
        self.rest: dict[bytes, bytes] = dict.fromkeys(ends, b"")


class Output:
    """Reads the output streams of one container until they end."""

    def __init__(
        self, log: str, selector: selectors.BaseSelector, on_end: Callable[[], None]
    ) -> None:
        self._log = CriLogWriter(Path(log), time.time)  # noqa: TID251
        self._selector = selector
        self._on_end = on_end
        self._sources: dict[int, bytes] = {}
        self._attached: list[_Attached] = []
        self._paused: set[int] = set()
        self.ended = False

    def add(self, descriptor: int, stream: bytes) -> None:
        """Read this until its end; the descriptor is this object's now."""
        os.set_blocking(descriptor, False)
        self._sources[descriptor] = stream
        self._selector.register(
            descriptor, selectors.EVENT_READ, lambda: self._readable(descriptor)
        )

    def attach(self, streams: tuple[bytes, ...]) -> tuple[int, ...]:
        """Reading ends of new pipes that get all output from now on, one for each of `streams`."""
        reading, writing = [], {}
        for stream in streams:
            end, own = os.pipe()
            with contextlib.suppress(OSError):
                fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            os.set_blocking(own, False)
            reading.append(end)
            writing[stream] = own
        self._attached.append(_Attached(writing))
        return tuple(reading)

    def close(self) -> None:
        """Read no more; whoever listens sees the end. Idempotent."""
        for descriptor in list(self._sources):
            self._readable(descriptor)
        for descriptor in list(self._sources):
            self._drop(descriptor)
        for one in tuple(self._attached):
            self._flush(one)
            self._leave(one)
        self._log.close()

    def _readable(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # A terminal whose last user has gone.
        if not data:
            self._drop(descriptor)
            if not self._sources:
                self.ended = True
                self._log.close()
                self._on_end()
            return
        stream = self._sources[descriptor]
        self._log.feed(stream, data)
        for one in tuple(self._attached):
            if stream in one.ends:
                one.rest[stream] += data
                self._flush(one)
        if any(one.rest.get(stream) for one in self._attached):
            self._pause(descriptor)

    def _pause(self, descriptor: int) -> None:
        if descriptor not in self._paused:
            self._paused.add(descriptor)
            self._selector.unregister(descriptor)
        for one in self._attached:
            for stream, rest in one.rest.items():
                end = one.ends[stream]
                if rest and end not in self._selector.get_map():
                    self._selector.register(
                        end, selectors.EVENT_WRITE, lambda one=one: self._writable(one)
                    )

    def _writable(self, one: _Attached) -> None:
        self._flush(one)
        for stream, end in one.ends.items():
            if not one.rest[stream] and end in self._selector.get_map():
                self._selector.unregister(end)
        self._resume()

    def _resume(self) -> None:
        """Read again, unless somebody still lags behind."""
        if any(rest for one in self._attached for rest in one.rest.values()):
            return
        for descriptor in tuple(self._paused):
            self._paused.discard(descriptor)
            self._selector.register(
                descriptor,
                selectors.EVENT_READ,
                lambda descriptor=descriptor: self._readable(descriptor),
            )

    def _leave(self, one: _Attached) -> None:
        for end in one.ends.values():
            if end in self._selector.get_map():
                self._selector.unregister(end)
            os.close(end)
        one.ends.clear()
        one.rest.clear()
        if one in self._attached:
            self._attached.remove(one)
        self._resume()

    def _flush(self, one: _Attached) -> None:
        for stream, end in list(one.ends.items()):
            while one.rest[stream]:
                try:
                    written = os.write(end, one.rest[stream])
                except BlockingIOError:
                    break
                except OSError:
                    self._leave(one)
                    return
                one.rest[stream] = one.rest[stream][written:]

    def _drop(self, descriptor: int) -> None:
        del self._sources[descriptor]
        if descriptor in self._paused:
            self._paused.discard(descriptor)
        else:
            self._selector.unregister(descriptor)
        os.close(descriptor)
