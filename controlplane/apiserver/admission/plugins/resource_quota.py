"""ResourceQuota: nothing is made that a quota of its namespace has no room for.

Usage is charged before the object is stored, by a guarded write of the quota's status, so that several servers together
never exceed it; what was charged for nothing is given back when the controller counts anew. Writes of one namespace
that wait at the same time are charged together.

A refusal that rests on a cached quota is tried on the stored one before it is believed.

Source: apiserver/pkg/admission/plugin/resourcequota.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.quota.amounts import written
from controlplane.kinds.core.quota.charge import Refused, Write, used_after
from controlplane.kinds.core.quota.evaluators import evaluator_of
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS
from kvstore.base.clock import Clock

_MAX_WRITTEN = 1000


class Quotas(Protocol):
    """The stored quotas."""

    async def fresh(self, namespace: str) -> list[Obj]:
        """The quotas of a namespace as they are now. Raises APIError."""
        ...

    async def update_status(
        self, namespace: str, name: str, change: Callable[[Obj], Awaitable[Obj]]
    ) -> Obj:
        """Write what `change` makes of the live quota, which may be asked again; the result. Raises APIError."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    """A write that waits for its charge; `error` is why it is refused once it is `done`."""

    write: Write
    is_dry_run: bool
    done: bool = False
    error: Exception | None = None


class ResourceQuota:
    """The plugin."""

    def __init__(self, lookup: Lookup, quotas: Quotas, clock: Clock) -> None:
        self._lookup = lookup
        self._quotas = quotas
        self._clock = clock
        # Namespace -> its turn and those who wait for it; there while somebody waits.
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, list[_Waiting]] = {}
        # Quotas as this server has written them last, where the cache may not have heard of it yet.
        self._written: OrderedDict[meta.Key, Obj] = OrderedDict()

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Whatever some quota may count; the kind's rules say more when they see the object."""
        return operation in (CREATE, UPDATE) and evaluator_of(resource) is not None

    async def validate(self, attributes: Attributes) -> None:
        """Charge, or refuse."""
        evaluator = evaluator_of(attributes.resource)
        obj, old = attributes.require_object(), attributes.old
        subresource = attributes.subresource
        if evaluator is None or not evaluator.handles(attributes.operation, subresource, obj, old):
            return
        quotas = await self._known(attributes.namespace)
        if not quotas:
            return
        write = Write(evaluator, attributes.operation, subresource, obj, old, self._clock.time())
        if _is_free(quotas, write):
            return
        try:
            await self._charge(attributes.namespace, _Waiting(write, attributes.is_dry_run))
        except Refused as refused:
            why = str(refused)
            raise errors.Forbidden.of(attributes.resource, attributes.name, why) from refused

    async def _known(self, namespace: str) -> list[Obj]:
        """The quotas of a namespace, as new as this server knows them."""
        quotas = []
        for quota in await self._lookup.all(RESOURCE_QUOTAS, namespace):
            key = meta.key_of(quota)
            written = self._written.get(key)
            if written is not None and _revision(written) > _revision(quota):
                quotas.append(written)
            else:
                self._written.pop(key, None)
                quotas.append(quota)
        return quotas

    async def _charge(self, namespace: str, waiting: _Waiting) -> None:
        """Have the write charged, by whoever has the namespace's turn."""
        turn = self._turns.setdefault(namespace, asyncio.Lock())
        self._waiting.setdefault(namespace, []).append(waiting)
        try:
            while not waiting.done:
                async with turn:
                    if not waiting.done:
                        await self._charge_waiting(namespace)
        finally:
            rest = self._waiting.get(namespace, [])
            if waiting in rest:
                rest.remove(waiting)
            if not rest and not turn.locked():
                self._waiting.pop(namespace, None)
                self._turns.pop(namespace, None)
        if waiting.error is not None:
            raise waiting.error

    async def _charge_waiting(self, namespace: str) -> None:
        batch, self._waiting[namespace] = self._waiting[namespace], []
        try:
            await self._charge_all(namespace, batch)
        except errors.APIError as error:
            _finish(batch, error)
        finally:
            # Whoever had the turn may have been called off: the others go on.
            self._waiting[namespace] += [one for one in batch if not one.done]

    async def _charge_all(self, namespace: str, batch: list[_Waiting]) -> None:
        quotas = await self._known(namespace)
        refused = _refused(quotas, batch)
        if refused:
            quotas = await self._quotas.fresh(namespace)
            refused = _refused(quotas, batch)
        _refuse(refused)
        accepted = [one for one in batch if not one.is_dry_run and one not in refused]
        for quota in quotas:
            if accepted and not all(_is_free((quota,), one.write) for one in accepted):
                refused = await self._charge_one(quota, accepted)
                _refuse(refused)
                accepted = [one for one in accepted if one not in refused]
        _finish(one for one in batch if not one.done)

    async def _charge_one(self, quota: Obj, batch: Sequence[_Waiting]) -> dict[_Waiting, Exception]:
        """Charge one quota for all that fit into it; those that do not, with the reason."""
        refused: dict[_Waiting, Exception] = {}
        key = meta.key_of(quota)

        async def change(live: Obj) -> Obj:
            refused.clear()
            if meta.uid(live) == meta.uid(quota):
                refused.update(_charged(live, batch))
            return live

        try:
            written = await self._quotas.update_status(key.namespace, key.name, change)
        except errors.NotFound:
            refused.clear()
        else:
            self._written[key] = written
            if len(self._written) > _MAX_WRITTEN:
                self._written.popitem(last=False)
        return refused


def _revision(quota: Obj) -> int:
    return int(meta.resource_version(quota))


def _is_free(quotas: Iterable[Obj], write: Write) -> bool:
    """Whether no quota has anything to say to the write."""
    try:
        return all(used_after(quota, write) is None for quota in quotas)
    except Refused:
        return False


def _charged(quota: Obj, batch: Iterable[_Waiting]) -> dict[_Waiting, Exception]:
    """Charge the quota in place for one write after the other; those it refuses, with the reason."""
    refused: dict[_Waiting, Exception] = {}
    for one in batch:
        try:
            used = used_after(quota, one.write)
        except Refused as error:
            refused[one] = error
            continue
        if used is not None and not one.is_dry_run:
            quota["status"] = {**meta.status(quota), "used": written(used)}
    return refused


def _refused(quotas: Iterable[Obj], batch: Sequence[_Waiting]) -> dict[_Waiting, Exception]:
    """Those of a batch that do not fit into all quotas, as these are, with the first reason."""
    running = [{**quota} for quota in quotas]
    refused: dict[_Waiting, Exception] = {}
    for one in batch:
        tried = [{**quota} for quota in running]
        for quota in tried:
            refused.update(_charged(quota, (one,)))
            if one in refused:
                break
        else:
            running = tried
    return refused


def _refuse(refused: dict[_Waiting, Exception]) -> None:
    for one, error in refused.items():
        one.done, one.error = True, error


def _finish(batch: Iterable[_Waiting], error: Exception | None = None) -> None:
    for one in list(batch):
        if not one.done:
            one.done, one.error = True, error
