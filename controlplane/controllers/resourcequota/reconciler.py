"""Writes into each quota's status what its namespace uses: when the quota changes, when something frees room, and again
and again.

The API server charges a quota before it stores an object, so a count made in between misses what is charged already.
Usage is therefore lowered only when the quota has been at rest for a moment, and never over a charge that was not seen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, Mapper, key_of
from controlplane.controllers.resourcequota.plan import gives_back, lacks_usage, status_of
from controlplane.kinds.core.quota.charge import names_that_count
from controlplane.kinds.core.quota.evaluator import Evaluator
from controlplane.kinds.core.quota.evaluators import evaluator_of
from controlplane.kinds.core.quota.usage import counted
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS
from controlplane.program.options import option

_NAME = "resourcequota-controller"
# How long a charge may be ahead of its object; and how long a quota that is charged all the time is waited for.
_REST_SECONDS = 0.5
_MAX_WAIT_SECONDS = 5.0
# How often kinds are looked for that a quota counts and nobody knows, or whose cache is not filled.
_UNKNOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ResourceQuotaOptions:
    """What the controller can be told; the defaults are upstream's."""

    concurrent_resource_quota_syncs: int = option(5, "quotas worked on at a time")
    resource_quota_sync_period_seconds: float = option(300.0, "when each is counted anew")


@dataclass(slots=True)
class _Wait:
    """Since when this version of a quota is there, and since when usage waits to be lowered."""

    version: str
    since: float
    waits_since: float


class QuotaReconciler:
    """Counts for one quota at a time."""

    def __init__(self, context: Context, options: ResourceQuotaOptions) -> None:
        self._client = context.client
        self._clock = context.clock
        self._kinds = context.kinds
        self._followed = context.followed
        self._quotas = context.informers.of(RESOURCE_QUOTAS).indexer
        self._period = options.resource_quota_sync_period_seconds
        self._waits: dict[Key, _Wait] = {}

    def quota_changed(self, change: Change) -> Iterable[Key]:
        """A quota that is new, bounds something else, or went."""
        old, new = change.old, change.new
        is_same = old is not None and new is not None and _hard(old) == _hard(new)
        return () if is_same else (key_of(change.object),)

    def any_kind(self, resource: Resource) -> Mapper[Key]:
        """The changes of a kind that may free room, and its first objects when its kind was not known before."""
        evaluator = evaluator_of(resource)
        if evaluator is None:
            return lambda change: ()

        def keys(change: Change) -> Iterable[Key]:
            old, new = change.old, change.new
            quotas = self._quotas.list(meta.namespace(change.object))
            if not quotas:
                return ()
            if old is None:
                return [key_of(quota) for quota in quotas if _lacks(quota, evaluator)]
            if new is not None and not evaluator.frees_on_update(old, new, self._clock.time()):
                return ()
            return [key_of(quota) for quota in quotas if names_that_count(quota, evaluator)]

        return keys

    async def reconcile(self, key: Key) -> Result:
        """Count for one quota, and write its status when that changes it."""
        quota = self._quotas.get(key.name, key.namespace)
        if quota is None:
            self._waits.pop(key, None)
            return Result.done()
        rows, is_complete = await self._rows(quota)
        objects = ((evaluator, list_of(key.namespace)) for evaluator, list_of in rows)
        status = status_of(quota, counted(quota, objects, self._clock.time()))
        if status is not None:
            if gives_back(quota, status):
                seconds = self._seconds_to_rest(key, quota)
                if seconds > 0:
                    return Result.after(seconds)
            await self._client.update_status(RESOURCE_QUOTAS, {**quota, "status": status})
        self._waits.pop(key, None)
        return Result.after(self._period if is_complete else _UNKNOWN_SECONDS)

    def _seconds_to_rest(self, key: Key, quota: Obj) -> float:
        now, version = self._clock.monotonic(), meta.resource_version(quota)
        wait = self._waits.setdefault(key, _Wait(version, now, now))
        if wait.version != version:
            wait.version, wait.since = version, now
        until = min(wait.since + _REST_SECONDS, wait.waits_since + _MAX_WAIT_SECONDS)
        return until - now

    async def _rows(
        self, quota: Obj
    ) -> tuple[list[tuple[Evaluator, Callable[[str], list[Obj]]]], bool]:
        """The kinds that the quota counts and whose caches are filled; whether those are all."""
        hard = list(meta.spec(quota).get("hard") or ())
        if any(name.startswith("count/") for name in self._not_known(hard)):
            await self._kinds.refresh()
        rows: list[tuple[Evaluator, Callable[[str], list[Obj]]]] = []
        is_complete = not any(name.startswith("count/") for name in self._not_known(hard))
        for resource, informer in self._followed.rows():
            evaluator = evaluator_of(resource)
            if evaluator is None or not any(evaluator.counts(name) for name in hard):
                continue
            if informer.synced:
                rows.append((evaluator, informer.indexer.list))
            else:
                is_complete = False
        return rows, is_complete

    def _not_known(self, hard: list[str]) -> list[str]:
        rows = [evaluator_of(resource) for resource, _ in self._followed.rows()]
        return [name for name in hard if not any(row and row.counts(name) for row in rows)]


def _hard(quota: Obj) -> Obj:
    return meta.spec(quota).get("hard") or {}


def _lacks(quota: Obj, evaluator: Evaluator) -> bool:
    used = meta.status(quota).get("used") or {}
    return any(name not in used for name in names_that_count(quota, evaluator))


def _is_urgent(change: Change) -> bool:
    return change.new is not None and lacks_usage(change.new)


def _build(context: Context, options: ResourceQuotaOptions) -> Controller[Key]:
    reconciler = QuotaReconciler(context, options)
    return Controller(
        _NAME,
        (Watch(RESOURCE_QUOTAS, reconciler.quota_changed, _is_urgent),),
        reconciler,
        workers=options.concurrent_resource_quota_syncs,
        any_kind=reconciler.any_kind,
    )


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (RESOURCE_QUOTAS,),
    ResourceQuotaOptions,
    aliases=("resourcequota",),
    watches_any_kind=True,
)
