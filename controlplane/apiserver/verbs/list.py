"""GET of a collection: from the watch cache where that is right, else page by page from the store.

`resourceVersion` as the API concepts page has it: unset is the most recent state, `0` any state, a number at least
that state, and with `resourceVersionMatch=Exact` that very state. Pages pin the revision of the first one.
"""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import list_options, render, selection
from controlplane.apiserver.requests.list_options import EXACT, ListOptions
from controlplane.apiserver.requests.selection import Selection
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating
from controlplane.storage import continue_token
from controlplane.storage.errors import FutureRevisionError, TooOldError
from controlplane.storage.interface import ListPage

_EXPIRED_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the first "
    "chunk was returned and now may show up in the list."
)


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """The list, with metadata.resourceVersion, continue and remainingItemCount."""
    registry = server.registries[resource]
    chosen = selection.parse(request, registry.kind, registry.row)
    options = list_options.of_list(request)
    with translating(resource):
        page = await _page(server, chosen, options)
    list_meta: Obj = {"resourceVersion": str(page.revision)}
    if page.next_key:
        list_meta["continue"] = continue_token.encode(chosen.prefix, page.next_key, page.revision)
        if chosen.is_all:
            list_meta["remainingItemCount"] = page.remaining_count
    if not registry.serves_as_stored:
        objects = await registry.all_served(page.items)
        return render.many(request, registry.kind, objects, list_meta, server.clock)
    texts = server.item_texts if page.is_shared else None
    return render.many(request, registry.kind, page.items, list_meta, server.clock, texts)


async def _page(server: Server, chosen: Selection, options: ListOptions) -> ListPage:
    version, limit = options.resource_version, options.limit
    if options.token:
        start, revision = continue_token.decode(options.token, chosen.prefix)
        if version:
            text = "specifying resource version is not allowed when using continue"
            raise errors.BadRequest(text)
        try:
            return await _from_store(server, chosen, limit, start, max(0, revision))
        except TooOldError as error:
            expired = errors.Expired(_EXPIRED_PAGE)
            expired.continue_token = continue_token.encode(
                chosen.prefix, start, continue_token.INCONSISTENT
            )
            raise expired from error
    # Compat: a limit with a revision but without a match has always meant that very revision.
    is_exact = options.match == EXACT or (limit and version and not options.match)
    if is_exact:
        try:
            return await _from_store(server, chosen, limit, "", version or 0)
        except TooOldError as error:
            text = "The resourceVersion for the provided list is too old."
            raise errors.Expired(text) from error
        except FutureRevisionError as error:
            large = errors.Timeout.large_resource_version(error.revision, error.current)
            large.retry_after_seconds = 0
            raise large from error
    if limit and version != 0:
        page = await _from_store(server, chosen, limit, "", 0)
        if version is not None and page.revision < version:
            raise FutureRevisionError(version, page.revision)
        return page
    return await _from_cache(server, chosen, version)


async def _from_store(
    server: Server, chosen: Selection, limit: int, start: str, revision: int
) -> ListPage:
    """One page; with selectors, as many reads as it takes to fill it."""
    registry = server.registries[chosen.kind.resource]
    items: list[Obj] = []
    while True:
        page = await server.storage.list(
            chosen.prefix, limit=limit, start_key=start, revision=revision
        )
        items.extend(await registry.those(page.items, chosen.matches))
        if not page.next_key or (limit and len(items) >= limit):
            break
        start, revision = page.next_key, page.revision
    if limit and len(items) > limit and page.next_key:
        # The last read brought more than was wanted: go on after the last object that is sent.
        last = items[limit - 1]["metadata"]
        items = items[:limit]
        namespace = last.get("namespace", "")
        base = chosen.prefix if chosen.prefix.endswith(f"/{namespace}/") or not namespace else ""
        key = f"{base}{last['name']}" if base else f"{chosen.prefix}{namespace}/{last['name']}"
        return ListPage(items, page.revision, key + "\0")
    return ListPage(items, page.revision, page.next_key, page.remaining_count)


async def _from_cache(server: Server, chosen: Selection, wanted: int | None) -> ListPage:
    registry = server.registries[chosen.kind.resource]
    row = registry.row
    cache = await server.caches.cache(row.key_prefix + "/")
    if wanted is None:
        try:
            await server.caches.wait_current()
        except FutureRevisionError:
            # The upstream watch lags behind: the store itself knows.
            page = await server.storage.list(chosen.prefix)
            return ListPage(await registry.those(page.items, chosen.matches), page.revision)
    elif wanted:
        await server.caches.wait_for(wanted)
    cache = await server.caches.cache(row.key_prefix + "/")
    objects = cache.select(chosen.prefix)
    if not chosen.is_all:
        objects = await registry.those(objects, chosen.matches)
    return ListPage(objects, server.caches.revision_of(cache), is_shared=True)
