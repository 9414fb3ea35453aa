"""The controller reference: which objects are an owner's, which to adopt, which to release.

An object is claimed when its controller reference names the owner's uid. One without a controller whose labels match is
adopted; an owned one whose labels no longer match is released. Adoption asks the server afresh whether the owner is
still alive, because a cached owner may be deleted already and its orphans meant to stay.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from controlplane.api import meta
from controlplane.api.errors import APIError, Invalid, NotFound
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.client.rest import STRATEGIC_MERGE_PATCH, RestClient


class OwnerGone(Exception):
    """The owner is deleted or replaced, so nothing may be adopted."""


async def claim(
    client: RestClient,
    owner: Obj,
    owner_resource: Resource,
    selector: LabelSelector,
    resource: Resource,
    candidates: Iterable[Obj],
    *,
    may_adopt: Callable[[Obj], bool] = lambda obj: True,
    finalizers: Sequence[str] = (),
) -> list[Obj]:
    """The candidates that belong to `owner`, after adopting and releasing what must be.

    `finalizers` are put on what is adopted.
    """
    claimed: list[Obj] = []
    checked = _once(lambda: _check_alive(client, owner, owner_resource))
    for obj in candidates:
        reference = meta.controller_of(obj)
        matches = selector.matches(meta.labels(obj))
        if reference is not None:
            if reference.get("uid") != meta.uid(owner):
                continue
            if matches:
                claimed.append(obj)
            elif not meta.is_deleting(owner):
                await release(client, owner, resource, obj)
            continue
        deleting = meta.is_deleting(owner) or meta.is_deleting(obj)
        if not matches or deleting or not may_adopt(obj):
            continue
        await checked()
        adopted = await _adopt(client, owner, resource, obj, finalizers)
        if adopted is not None:
            claimed.append(adopted)
    return claimed


async def _adopt(
    client: RestClient, owner: Obj, resource: Resource, obj: Obj, finalizers: Sequence[str]
) -> Obj | None:
    metadata: Obj = {
        "uid": meta.uid(obj),
        "ownerReferences": [meta.controller_reference(owner)],
    }
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    return await _patch(client, resource, obj, {"metadata": metadata})


async def release(client: RestClient, owner: Obj, resource: Resource, obj: Obj) -> None:
    """Take the owner's reference off the object; gone objects are fine."""
    patch = {
        "metadata": {
            "uid": meta.uid(obj),
            "ownerReferences": [{"$patch": "delete", "uid": meta.uid(owner)}],
        }
    }
    await _patch(client, resource, obj, patch)


async def _patch(client: RestClient, resource: Resource, obj: Obj, patch: Obj) -> Obj | None:
    try:
        return await client.patch(
            resource,
            meta.name(obj),
            patch,
            meta.namespace(obj),
            patch_type=STRATEGIC_MERGE_PATCH,
        )
    except NotFound:
        return None
    except Invalid:
        return None  # another controller took it, or the reference was gone already
    except APIError as error:
        if error.status_code == 409:
            return None  # the name now belongs to another object
        raise


async def _check_alive(client: RestClient, owner: Obj, resource: Resource) -> None:
    try:
        fresh = await client.get(resource, meta.name(owner), meta.namespace(owner))
    except NotFound:
        raise OwnerGone(f"{resource.kind} {meta.name(owner)} is gone") from None
    if meta.uid(fresh) != meta.uid(owner) or meta.is_deleting(fresh):
        raise OwnerGone(f"{resource.kind} {meta.name(owner)} is gone or being deleted")


def _once(call: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    finished = False

    async def wrapper() -> None:
        nonlocal finished
        if not finished:
            await call()
            finished = True

    return wrapper
