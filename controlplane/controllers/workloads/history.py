"""Keeps the ControllerRevisions of an owner: the one of its present template exists and has the highest number."""

import contextlib
from collections.abc import Collection, Sequence

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.meta import Obj
from controlplane.client.rest import RestClient
from controlplane.controllers.workloads.revisions import (
    HASH_LABEL,
    in_order,
    is_same,
    new_revision,
    next_number,
    number_of,
    surplus,
)
from controlplane.kinds.apps.controller_revision import CONTROLLER_REVISIONS


async def keep_newest(
    client: RestClient,
    owner: Obj,
    revisions: Sequence[Obj],
    collision_count: int,
    *,
    label: str = HASH_LABEL,
) -> tuple[Obj, int]:
    """The revision of the owner's template, made or renumbered if need be, and the new count of collisions."""
    ordered = in_order(revisions)
    wanted = new_revision(owner, next_number(ordered), collision_count, label)
    equal = [revision for revision in ordered if is_same(revision, wanted)]
    if equal:
        newest = equal[-1]
        if newest is ordered[-1]:
            return newest, collision_count
        changed = {**newest, "revision": wanted["revision"]}
        return await client.update(CONTROLLER_REVISIONS, changed), collision_count
    while True:
        namespace = meta.namespace(owner)
        try:
            return await client.create(CONTROLLER_REVISIONS, wanted, namespace), collision_count
        except AlreadyExists:
            existing = await client.get(CONTROLLER_REVISIONS, meta.name(wanted), namespace)
            if is_same(existing, wanted) and meta.is_controlled_by(existing, owner):
                return existing, collision_count  # ours, not in the cache yet
            collision_count += 1
            wanted = new_revision(owner, number_of(wanted), collision_count, label)


async def cut(
    client: RestClient, revisions: Sequence[Obj], live: Collection[str], limit: int
) -> None:
    """Delete what is beyond the history's limit."""
    for revision in surplus(revisions, live, limit):
        with contextlib.suppress(NotFound):
            await client.delete(
                CONTROLLER_REVISIONS,
                meta.name(revision),
                meta.namespace(revision),
                uid=meta.uid(revision),
            )
