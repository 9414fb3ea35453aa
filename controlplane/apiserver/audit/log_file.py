"""Events as JSON lines in a file of mode 0600, put aside when it is large, and deleted when it is old.

Old files are called `NAME-2006-01-02T15-04-05.000.EXT`, in UTC, as upstream's are. Path `-` is standard output.
"""

import gzip
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controlplane.apiserver.audit.event import Event
from kvstore.base.log import get_logger

_MEGABYTE = 1024 * 1024
_DAY_SECONDS = 24 * 3600
_STAMP = "%Y-%m-%dT%H-%M-%S"

log = get_logger(__name__)


class LogFile:
    """The sink. `max_megabytes`, `max_age_days` and `max_backups` of 0 set no bound."""

    def __init__(
        self,
        path: str,
        now: Callable[[], float],
        *,
        max_megabytes: int = 0,
        max_age_days: int = 0,
        max_backups: int = 0,
        compresses: bool = False,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = None if path == "-" else Path(path)
        self._now = now
        self._max_bytes = max_megabytes * _MEGABYTE
        self._max_age_seconds = max_age_days * _DAY_SECONDS
        self._max_backups = max_backups
        self._compresses = compresses
        self._on_error = on_error
        self._file = -1
        self._size = 0

    async def emit(self, events: Sequence[Event]) -> bool:
        """See `Sink.emit`."""
        try:
            self.write(b"".join(event.line + b"\n" for event in events))
        except OSError as error:
            log.error("audit events not written", error=str(error), events=len(events))
            self._on_error()
            return False
        return True

    def write(self, lines: bytes) -> None:
        """Append whole lines; OSError when that cannot be done."""
        if self._path is None:
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
            return
        if self._file < 0:
            self._open(self._path)
        if self._max_bytes and self._size and self._size + len(lines) > self._max_bytes:
            self._rotate(self._path)
        view = memoryview(lines)
        while view:
            written = os.write(self._file, view)
            view = view[written:]
            self._size += written

    async def close(self) -> None:
        """See `Sink.close`."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self, path: Path) -> None:
        os.close(self._file)
        self._file = -1
        now = self._now()
        stamp = datetime.fromtimestamp(now, UTC).strftime(_STAMP)
        aside = path.with_name(f"{path.stem}-{stamp}.{int(now * 1000) % 1000:03d}{path.suffix}")
        os.replace(path, aside)
        if self._compresses:
            _compress(aside)
        self._open(path)
        self._clean(path)

    def _clean(self, path: Path) -> None:
        old = backups(path)
        gone = old[self._max_backups :] if self._max_backups else []
        if self._max_age_seconds:
            oldest = self._now() - self._max_age_seconds
            gone += [one for one in old if one not in gone and _stamp_of(path, one) < oldest]
        for one in gone:
            one.unlink(missing_ok=True)


def backups(path: Path) -> list[Path]:
    """The files that were put aside, the newest first."""
    found = [one for one in path.parent.glob(f"{path.stem}-*") if _stamp_of(path, one) >= 0]
    return sorted(found, key=lambda one: _stamp_of(path, one), reverse=True)


def _stamp_of(path: Path, one: Path) -> float:
    """When a file was put aside; -1 when it is not one of `path`'s."""
    shape = re.escape(path.stem) + r"-(.{19})\.(\d{3})" + re.escape(path.suffix) + r"(\.gz)?"
    found = re.fullmatch(shape, one.name)
    if found is None:
        return -1.0
    try:
        moment = datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return -1.0
    return moment.timestamp() + int(found[2]) / 1000


def _compress(path: Path) -> None:
    packed = path.with_name(path.name + ".gz")
    file = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with (
        os.fdopen(file, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb") as target,
        path.open("rb") as source,
    ):
        shutil.copyfileobj(source, target)
    path.unlink()
