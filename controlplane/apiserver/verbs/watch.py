"""GET with watch=true: initial state if asked for, then changes, with bookmarks, until the time is over.

An object that begins to match the selectors is ADDED, one that ceases is DELETED, whatever happened in the store.
Whole events of unselected form are encoded once and shared by all watches of the resource.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from controlplane.api import errors
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, StreamResponse
from controlplane.apiserver.http.negotiate import (
    JSON,
    PROTOBUF,
    Form,
    check_route,
    reply_form,
)
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests import list_options, render, selection
from controlplane.apiserver.requests.selection import Selection
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translated, translating
from controlplane.storage.codec import with_revision
from controlplane.storage.errors import StorageError, TooOldError
from controlplane.storage.watch_cache import CacheEvent, Cursor, ResourceCache

# A last bookmark is sent this long before the end, as upstream does, so that the next watch starts there.
_LAST_BOOKMARK_SECONDS = 2.0
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(slots=True)
class _Stream:
    """One client's watch."""

    server: Server
    request: Request
    registry: Registry
    chosen: Selection
    form: Form
    has_sent_columns: bool = False

    @property
    def resource(self) -> Resource:
        return self.chosen.kind.resource

    def line(self, kind: str, obj: Obj) -> bytes:
        """One event as the client wants it."""
        return self.frame(kind, self.content(kind, obj))

    def content(self, kind: str, obj: Obj) -> Obj:
        if kind == "ERROR" or not self.form.transform:
            return obj
        with_columns = not self.has_sent_columns
        self.has_sent_columns = True
        return render.transformed(
            self.request,
            self.chosen.kind,
            obj,
            self.form,
            self.server.clock,
            with_columns=with_columns,
        )

    def frame(self, kind: str, obj: Obj) -> bytes:
        if self.form.media_type == PROTOBUF:
            from controlplane.api.wire import protobuf

            return protobuf.watch_frame(kind, protobuf.encode(obj))
        return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"

    async def changes(self, events: Sequence[CacheEvent]) -> bytes:
        """The lines for those of the changes that the client is to see. APIError when one cannot be converted."""
        events = [event for event in events if event.key.startswith(self.chosen.prefix)]
        has_converter = self.registry.kind.converter is not None
        if has_converter:
            events = await self._converted(events)
        seen = [(event, *found) for event in events if (found := self._seen(event)) is not None]
        served = [obj for _, _, obj in seen]
        if not has_converter:
            served = await self.registry.all_served(served)
        lines = zip(seen, served, strict=True)
        return b"".join([self._change(event, kind, obj) for (event, kind, _), obj in lines])

    async def _converted(self, events: Sequence[CacheEvent]) -> list[CacheEvent]:
        """The same changes in the version that is asked for, whose fields selectors mean."""
        states = [one for event in events for one in (event.obj, event.previous) if one is not None]
        made = iter(await self.registry.all_served(states))
        return [
            CacheEvent(
                event.key,
                None if event.obj is None else next(made),
                None if event.previous is None else next(made),
                event.revision,
            )
            for event in events
        ]

    def _seen(self, event: CacheEvent) -> tuple[str, Obj] | None:
        """What a change is to the client, and the object; None when he is not to see it."""
        was = event.previous is not None and self.chosen.matches(event.previous)
        now = event.obj is not None and self.chosen.matches(event.obj)
        if not was and not now:
            return None
        if now and event.obj is not None:
            return ("MODIFIED" if was else "ADDED"), event.obj
        return "DELETED", with_revision(event.previous or {}, event.revision)

    def _change(self, event: CacheEvent, kind: str, served: Obj) -> bytes:
        if self.form.transform:
            return self.line(kind, served)
        shared = f"{self.form.media_type} {kind} {self.resource.group_version}"
        return event.encoded(shared, lambda: self.frame(kind, served))

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> bytes:
        """A BOOKMARK: nothing up to `revision` is missing."""
        meta: Obj = {"resourceVersion": str(revision)}
        if ends_initial:
            meta["annotations"] = {_INITIAL_END: "true"}
        obj: Obj = {
            "kind": self.resource.kind,
            "apiVersion": self.resource.group_version,
            "metadata": meta,
        }
        if self.form.transform == "Table":
            obj = self.content("BOOKMARK", obj)
            for row in obj["rows"]:
                row["object"] = {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta,
                }
        elif self.form.transform:
            obj = self.content("BOOKMARK", obj)
        return self.frame("BOOKMARK", obj)


async def handle(server: Server, request: Request, resource: Resource) -> StreamResponse:
    """The stream; refusals that are known at once come as a plain Status, but for a start that is too old."""
    registry = server.registries[resource]
    chosen = selection.parse(request, registry.kind, registry.row)
    form = _form(request, registry.kind)
    version, wants_initial = list_options.of_watch(request)
    stream = _Stream(server, request, registry, chosen, form)
    with translating(resource):
        prefix = registry.row.key_prefix + "/"
        cache = await server.caches.cache(prefix)
        if version:
            if wants_initial:
                await server.caches.wait_for(version)
        elif version is None:
            await server.caches.wait_current()
        cache = await server.caches.cache(prefix)
        initial: list[Obj] = []
        if wants_initial or (wants_initial is None and not version):
            initial = cache.select(chosen.prefix)
            if not chosen.is_all:
                initial = await registry.those(initial, chosen.matches)
            start = server.caches.revision_of(cache)
        else:
            start = version or server.caches.revision_of(cache)
        try:
            cursor = cache.cursor(start)
        except TooOldError as error:
            return StreamResponse(_only(_last_words(stream, error)), _content_type(form))
    sends_end = bool(wants_initial) and request.flag("allowWatchBookmarks")
    chunks = _run(stream, cache, cursor, initial, start if sends_end else 0)
    return StreamResponse(chunks, _content_type(form))


async def _only(words: bytes) -> AsyncIterator[bytes]:
    yield words


def _content_type(form: Form) -> str:
    return form.media_type if form.media_type == JSON else f"{PROTOBUF};stream=watch"


def _form(request: Request, kind: Kind) -> Form:
    accept, is_built_in = request.headers.get("accept", ""), kind.own_schema is None
    if is_built_in:
        check_route(accept, with_streams=True)
    return reply_form(accept, has_protobuf=is_built_in, is_stream=True)


async def _run(
    stream: _Stream, cache: ResourceCache, cursor: Cursor, initial: list[Obj], end_revision: int
) -> AsyncIterator[bytes]:
    server, request = stream.server, stream.request
    bookmarks = request.flag("allowWatchBookmarks")
    ends_at = server.clock.monotonic() + _length(server, request)
    try:
        served = await stream.registry.all_served(initial)
    except errors.APIError as error:
        yield _last_words(stream, error)
        return
    lines = [stream.line("ADDED", obj) for obj in served]
    if end_revision:
        lines.append(stream.bookmark(end_revision, ends_initial=True))
    # An empty chunk sends the headers: the client knows that the watch stands.
    yield b"".join(lines)
    del lines, initial, served
    sent_last = False
    next_bookmark = server.clock.monotonic() + server.config.bookmark_seconds
    while not server.stopping.is_set():
        now = server.clock.monotonic()
        if now >= ends_at:
            return
        wait = ends_at - now
        if bookmarks:
            if not sent_last and wait <= _LAST_BOOKMARK_SECONDS:
                sent_last, next_bookmark = True, now
            elif not sent_last:
                wait = min(wait - _LAST_BOOKMARK_SECONDS, next_bookmark - now)
        try:
            events = await cursor.next(wait)
            text = await stream.changes(events) if events else b""
        except (StorageError, errors.APIError) as error:
            if not server.stopping.is_set():
                yield _last_words(stream, error)
            return
        if text:
            yield text
        now = server.clock.monotonic()
        if bookmarks and not events and now >= next_bookmark:
            next_bookmark = now + server.config.bookmark_seconds
            yield stream.bookmark(server.caches.revision_of(cache))


def _last_words(stream: _Stream, error: StorageError | errors.APIError) -> bytes:
    if isinstance(error, errors.APIError):
        return stream.frame("ERROR", error.status())
    status = translated(error, stream.resource, "").status()
    if isinstance(error, TooOldError):
        status["code"] = 410
    return stream.frame("ERROR", status)


def _length(server: Server, request: Request) -> float:
    wanted = list_options.seconds(request)
    if wanted > 0:
        return float(wanted)
    least = server.config.min_request_timeout_seconds
    return server.rng.uniform(least, 2 * least)
