"""Audit logs of all API servers as one: read in the order of time, filtered, followed across rotations."""

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from controlplane.api import times

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are looked for; empty texts and a `since` of 0 want all. `since` is Unix time."""

    user: str = ""
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    code: int = 0
    since: float = 0.0

    def matches(self, event: Event) -> bool:
        """Whether an event is one of them."""
        reference = event.get("objectRef") or {}
        resource = reference.get("resource") or ""
        whole = (
            f"{resource}/{reference['subresource']}" if reference.get("subresource") else resource
        )
        users = {(event.get(key) or {}).get("username", "") for key in ("user", "impersonatedUser")}
        return (
            (not self.user or self.user in users)
            and (not self.verb or self.verb == event.get("verb"))
            and (not self.resource or self.resource in (resource, whole))
            and (not self.namespace or self.namespace == reference.get("namespace"))
            and (not self.name or self.name == reference.get("name"))
            and (not self.code or self.code == (event.get("responseStatus") or {}).get("code"))
            and (not self.since or reached(event) >= self.since)
        )


def reached(event: Event) -> float:
    """When the event's stage was reached, in seconds since the epoch; 0 when it does not say."""
    return times.parse_or_none(event.get("stageTimestamp")) or 0.0


def past(folder: Path, wanted: Wanted) -> list[Event]:
    """All events of all files, in the order of time."""
    found = [
        event
        for file in sorted(folder.glob("*.log*"))
        for event in _parsed(_read(file))
        if wanted.matches(event)
    ]
    return sorted(found, key=reached)


def _read(file: Path) -> bytes:
    try:
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except FileNotFoundError:
        # It was put aside or deleted meanwhile.
        return b""


def _parsed(text: bytes) -> Iterator[Event]:
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            # The last line may be half written.
            continue
        if isinstance(event, dict):
            yield event


class Follower:
    """What is added to the files of a folder from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Path, BinaryIO] = {}
        self._rest: dict[Path, bytes] = {}
        for path in self._paths():
            self._at(path).seek(0, os.SEEK_END)

    def poll(self, wanted: Wanted) -> list[Event]:
        """Events that have come since the last call, in the order of time."""
        found: list[Event] = []
        for path in self._paths():
            text = self._take(path)
            if self._is_replaced(path):
                self._open.pop(path).close()
                text += self._take(path)
            found += [event for event in _parsed(text) if wanted.matches(event)]
        return sorted(found, key=reached)

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _paths(self) -> list[Path]:
        """The files that are written to; those put aside have a time in their name."""
        return [one for one in sorted(self._folder.glob("*.log")) if "T" not in one.stem]

    def _at(self, path: Path) -> BinaryIO:
        if path not in self._open:
            self._open[path] = path.open("rb")
        return self._open[path]

    def _take(self, path: Path) -> bytes:
        try:
            text = self._rest.pop(path, b"") + self._at(path).read()
        except FileNotFoundError:
            return b""
        whole, mark, rest = text.rpartition(b"\n")
        if rest:
            self._rest[path] = rest
        return whole + mark

    def _is_replaced(self, path: Path) -> bool:
        try:
            return path.stat().st_ino != os.fstat(self._open[path].fileno()).st_ino
        except (FileNotFoundError, KeyError):
            return False


def line(event: Event) -> str:
    """An event in words: when, who, what, on what, and what came of it."""
    reference, status = event.get("objectRef") or {}, event.get("responseStatus") or {}
    user = (event.get("user") or {}).get("username") or "-"
    acted = (event.get("impersonatedUser") or {}).get("username")
    subject = event.get("requestURI") or "-"
    if reference:
        place = "/".join(reference[key] for key in ("namespace", "name") if reference.get(key))
        kind = reference.get("resource") or "-"
        if reference.get("subresource"):
            kind += f"/{reference['subresource']}"
        subject = f"{kind} {place}".strip()
    code = str(status.get("code") or "-")
    words = [
        (event.get("stageTimestamp") or "-")[:23].ljust(23),
        f"{user} as {acted}" if acted else user,
        event.get("verb") or "-",
        subject,
        code,
    ]
    if event.get("stage") not in ("ResponseComplete", None):
        words.append(str(event["stage"]))
    if status.get("reason"):
        words.append(str(status["reason"]))
    return "  ".join(words)
