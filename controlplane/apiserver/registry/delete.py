"""DELETE: an update that either marks the object as ending (finalizers, grace) or removes it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.api import errors, meta, times
from controlplane.api.meta import Obj
from controlplane.api.strategy import DeleteOptions, Strategy
from controlplane.apiserver.admission import interface as admission
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.storage_errors import translated, translating
from controlplane.storage.errors import PreconditionError
from controlplane.storage.interface import Removal

if TYPE_CHECKING:
    from controlplane.apiserver.registry.registry import Registry

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"


async def delete(
    registry: Registry, namespace: str, name: str, options: DeleteOptions, context: WriteContext
) -> tuple[Obj, bool]:
    """(the object, whether it is gone now): mark it as ending, or remove it when nothing holds it."""
    key = registry.row.key(namespace, name)
    removed: list[Obj] = []

    async def mark(live: Obj) -> Obj | Removal:
        _check_kept(registry, name, live)
        check_preconditions(registry, name, options, live)
        if not context.is_admitted:
            attributes = registry.attributes(
                admission.DELETE,
                context,
                None,
                await registry.served(live),
                namespace=namespace,
                # Compat: of a whole collection admission is told no names.
                name="" if context.is_collection else name,
            )
            await admission.mutate(registry.admission, attributes)
            await admission.validate(registry.admission, attributes)
        result = _marked(registry, live, options)
        removed[:] = [live] if isinstance(result, Removal) else []
        return result

    with translating(registry.resource, name):
        if options.is_dry_run:
            result = await mark(await registry.storage.get(key))
            obj = result.obj if isinstance(result, Removal) else result
            return await registry.served(obj), isinstance(result, Removal)
        obj = await registry.storage.guaranteed_update(key, mark)
        if removed:
            await registry.allocator.release(removed[0])
    return await registry.served(obj), bool(removed)


def check_preconditions(registry: Registry, name: str, options: DeleteOptions, live: Obj) -> None:
    """Refuse to delete another object, or another state of it, than the one that is meant."""
    for field, wanted, found, why in (
        ("UID", options.uid, meta.uid(live), "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, meta.resource_version(live), "modified"),
    ):
        if wanted is not None and wanted != found:
            if registry.strategy.tells_conflicts_as_the_store:
                raise translated(PreconditionError(name, field, wanted, found), registry.row, name)
            # Compat: under the group in which the object is stored.
            row = registry.row
            shown = f"{row.kind}.{row.group}" if row.group else row.kind
            raise errors.Conflict(
                f'Operation cannot be fulfilled on {shown} "{name}": the {field} in the '
                f"precondition ({wanted}) does not match the {field} in record ({found}). The "
                f"object might have been {why}",
                name=name,
                group=row.group,
                kind=row.kind,
            )


def _check_kept(registry: Registry, name: str, live: Obj) -> None:
    why = registry.strategy.keeps(live)
    if why:
        raise errors.Forbidden.of(registry.resource, name, why)


def is_finished(strategy: Strategy, obj: Obj) -> bool:
    """Whether nothing holds an ending object any more."""
    fields = meta.metadata(obj)
    return (
        "deletionTimestamp" in fields
        and not fields.get("finalizers")
        and not fields.get("deletionGracePeriodSeconds")
        and not strategy.holds_deletion(obj)
    )


def _marked(registry: Registry, live: Obj, options: DeleteOptions) -> Obj | Removal:
    strategy = registry.strategy
    obj: Obj = {**live, "metadata": dict(meta.metadata(live))}
    fields = obj["metadata"]
    grace = strategy.grace_seconds(live, options)
    propagation = options.propagation
    if not propagation and strategy.orphans_by_default and not _is_settled(live):
        propagation = "Orphan"
    finalizers = _propagated(meta.finalizers(live), propagation)
    if finalizers:
        fields["finalizers"] = finalizers
    else:
        fields.pop("finalizers", None)
    if "deletionTimestamp" in fields:
        # A second DELETE may only shorten what the first one has granted.
        granted = int(fields.get("deletionGracePeriodSeconds") or 0)
        if options.grace_seconds is not None and grace < granted:
            _set_deadline(registry, fields, grace)
    elif grace or finalizers or strategy.holds_deletion(obj):
        _set_deadline(registry, fields, grace)
        strategy.mark_deleting(obj)
        if fields.get("generation"):
            fields["generation"] += 1
    elif strategy.returns_deleted:
        # Compat: what is gone at once is told to have been ending.
        _set_deadline(registry, fields, 0)
        if fields.get("generation"):
            fields["generation"] += 1
        return Removal(obj)
    else:
        return Removal(live)
    return Removal(obj) if is_finished(strategy, obj) else obj


def _set_deadline(registry: Registry, fields: Obj, grace_seconds: int) -> None:
    fields["deletionTimestamp"] = times.to_rfc3339(registry.clock.time() + grace_seconds)
    if registry.strategy.has_grace:
        fields["deletionGracePeriodSeconds"] = grace_seconds


def _is_settled(live: Obj) -> bool:
    """Whether an earlier DELETE has said what becomes of dependents."""
    return not {_FOREGROUND, _ORPHAN}.isdisjoint(meta.finalizers(live))


def _propagated(finalizers: list[str], propagation: str) -> list[str]:
    """Finalizers with the garbage collector's ones set as the policy asks."""
    if not propagation:
        return finalizers
    kept = [one for one in finalizers if one not in (_FOREGROUND, _ORPHAN)]
    if propagation == "Foreground":
        kept.append(_FOREGROUND)
    elif propagation == "Orphan":
        kept.append(_ORPHAN)
    return kept
