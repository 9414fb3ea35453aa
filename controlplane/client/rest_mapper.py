"""Which kinds the API server serves now, from its discovery documents: built-in ones and custom resources alike.

For what works on any kind: the garbage collector, the namespace controller, quota. Read anew every half minute, and
whenever somebody asks for a kind that is not known. Listeners hear of kinds that came and went.

A group whose backend does not answer keeps the kinds it had: "not listed" and "gone" are told apart, because whoever
takes the first for the second deletes what belongs to others.
"""

import asyncio
from collections.abc import Callable, Iterable

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource, Subresource
from controlplane.client.discovery import discover
from controlplane.client.rest import RestClient
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

OnChange = Callable[[], None]

REFRESH_SECONDS = 30.0
# Somebody asks for an unknown kind again and again: the server is asked at most this often.
_MISS_SECONDS = 1.0

_log = get_logger("rest-mapper")


class RestMapper:
    """The served kinds as of the last refresh; empty before the first."""

    def __init__(self, client: RestClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._rows: tuple[Resource, ...] = ()
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._listeners: list[OnChange] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.failed_groups: tuple[str, ...] = ()
        """Groups that could not be read at the last refresh; what is known of them is old."""

    @property
    def is_filled(self) -> bool:
        """Whether discovery was read at least once."""
        return bool(self._rows)

    def all(self) -> tuple[Resource, ...]:
        """Every kind in every version, as discovery lists them."""
        return self._rows

    def preferred(self, *verbs: str) -> list[Resource]:
        """Each resource once, in the first version (the group's preferred) that has all of `verbs`."""
        found: dict[tuple[str, str], Resource] = {}
        for row in self._rows:
            if set(verbs) <= set(row.verbs):
                found.setdefault((row.group, row.plural), row)
        return list(found.values())

    def known(self, api_version: str, kind: str) -> Resource | None:
        """The row of an apiVersion and kind as last read; None when it was not served."""
        return self._by_kind.get((api_version, kind))

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The row of an apiVersion and kind; the server is asked again when it is not known. Raises APIError."""
        found = self.known(api_version, kind)
        if found is None and self._clock.monotonic() - self._read_at >= _MISS_SECONDS:
            await self.refresh()
            found = self.known(api_version, kind)
        return found

    def add_listener(self, on_change: OnChange) -> Callable[[], None]:
        """Call `on_change` after each refresh that changed something; the result ends that."""
        self._listeners.append(on_change)
        return lambda: self._listeners.remove(on_change) if on_change in self._listeners else None

    async def run(self) -> None:
        """Read discovery again and again until cancelled."""
        while True:
            try:
                await self.refresh()
            except APIError as error:
                _log.info("discovery not read", error=str(error))
            await self._clock.sleep(REFRESH_SECONDS if self.is_filled else _MISS_SECONDS)

    async def refresh(self) -> None:
        """Read discovery now. Raises APIError when nothing could be read; then all stays as it was."""
        async with self._reading:
            items = await discover(self._client)
            self._read_at = self._clock.monotonic()
            failed = _failed_groups(items)
            old = [row for row in self._rows if row.group in failed]
            rows = (*(row for row in _rows(items) if row.group not in failed), *old)
            self.failed_groups = tuple(failed)
            changed = set(rows) != set(self._rows)
            self._rows = rows
            self._by_kind = {(row.group_version, row.kind): row for row in reversed(rows)}
        if changed:
            for listener in list(self._listeners):
                listener()


def _failed_groups(items: Iterable[Obj]) -> list[str]:
    """Groups some version of which is `Stale`: the aggregated API behind it did not answer."""
    return [
        _group_name(item)
        for item in items
        if any(version.get("freshness") == "Stale" for version in item.get("versions") or ())
    ]


def _group_name(item: Obj) -> str:
    return str((item.get("metadata") or {}).get("name") or "")


def _rows(items: Iterable[Obj]) -> Iterable[Resource]:
    for item in items:
        for version in item.get("versions") or ():
            for entry in version.get("resources") or ():
                if (entry.get("responseKind") or {}).get("kind"):  # else only its subresources are
                    yield _row(_group_name(item), str(version["version"]), entry)


def _row(group: str, version: str, entry: Obj) -> Resource:
    kind = entry.get("responseKind") or {}
    return Resource(
        group=group,
        version=version,
        kind=str(kind.get("kind") or ""),
        plural=str(entry["resource"]),
        namespaced=entry.get("scope") == "Namespaced",
        singular=str(entry.get("singularResource") or ""),
        short_names=tuple(entry.get("shortNames") or ()),
        categories=tuple(entry.get("categories") or ()),
        verbs=tuple(entry.get("verbs") or ()),
        subresources=tuple(
            Subresource(str(sub["subresource"]), tuple(sub.get("verbs") or ()))
            for sub in entry.get("subresources") or ()
        ),
    )
