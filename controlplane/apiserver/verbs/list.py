"""GET of a collection: from the watch cache where that is right, else page by page from the store.

`resourceVersion` as the API concepts page has it: unset is the most recent state, `0` any state, a number at least
that state, and with `resourceVersionMatch=Exact` that very state. Pages pin the revision of the first one.
"""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import render, selection
from controlplane.apiserver.requests.selection import Selection
from controlplane.apiserver.served import Parts
from controlplane.apiserver.storage_errors import translating
from controlplane.storage import continue_token
from controlplane.storage.errors import FutureRevisionError, TooOldError
from controlplane.storage.interface import ListPage


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """The list, with metadata.resourceVersion, continue and remainingItemCount."""
    registry = parts.registries[resource]
    chosen = selection.parse(request, registry.kind, registry.row)
    limit, token = _limit(request), request.option("continue")
    wanted, match = request.option("resourceVersion"), request.option("resourceVersionMatch")
    _check_options(wanted, match, token)
    with translating(resource):
        if token or match == "Exact" or (limit and wanted in ("", "0") and wanted != "0"):
            page = await _from_store(parts, chosen, limit, token, wanted if not token else "")
        else:
            page = await _from_cache(parts, chosen, wanted)
    list_meta: Obj = {"resourceVersion": str(page.revision)}
    if page.next_key:
        list_meta["continue"] = continue_token.encode(chosen.prefix, page.next_key, page.revision)
        if chosen.is_all:
            list_meta["remainingItemCount"] = page.remaining_count
    objects = [registry.served(obj) for obj in page.items]
    return render.many(request, registry.kind, objects, list_meta, parts.clock)


def _limit(request: Request) -> int:
    text = request.option("limit", "0") or "0"
    if not text.isdigit():
        raise errors.BadRequest(f"invalid limit {text!r}: must be a number, zero or more")
    return int(text)


def _check_options(wanted: str, match: str, token: str) -> None:
    if match not in ("", "Exact", "NotOlderThan"):
        raise errors.BadRequest(
            f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact", '
            '"NotOlderThan"'
        )
    if match and token:
        raise errors.BadRequest("resourceVersionMatch is forbidden when continue is provided")
    if match and not wanted:
        raise errors.BadRequest(
            "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match == "Exact" and wanted == "0":
        raise errors.BadRequest('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if wanted and not wanted.isdigit():
        raise errors.BadRequest(f"Invalid value: {wanted!r}: resourceVersion is not a number")


async def _from_store(
    parts: Parts, chosen: Selection, limit: int, token: str, wanted: str
) -> ListPage:
    """One page; with selectors, as many reads as it takes to fill it."""
    start, revision = "", int(wanted or 0)
    if token:
        start, revision = continue_token.decode(token, chosen.prefix)
    items: list[Obj] = []
    while True:
        try:
            page = await parts.storage.list(
                chosen.prefix, limit=limit, start_key=start, revision=revision
            )
        except TooOldError as error:
            if not token:
                raise
            raise errors.Expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            ) from error
        items.extend(obj for obj in page.items if chosen.matches(obj))
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


async def _from_cache(parts: Parts, chosen: Selection, wanted: str) -> ListPage:
    row = parts.registries[chosen.kind.resource].row
    cache = await parts.caches.cache(row.key_prefix + "/")
    if wanted == "":
        try:
            await parts.caches.wait_current()
        except FutureRevisionError:
            # The upstream watch lags behind: the store itself knows.
            page = await parts.storage.list(chosen.prefix)
            return ListPage([obj for obj in page.items if chosen.matches(obj)], page.revision)
    elif wanted != "0":
        await parts.caches.wait_for(int(wanted))
    cache = await parts.caches.cache(row.key_prefix + "/")
    objects = cache.select(chosen.prefix)
    if not chosen.is_all:
        objects = [obj for obj in objects if chosen.matches(obj)]
    return ListPage(objects, parts.caches.revision_of(cache))
