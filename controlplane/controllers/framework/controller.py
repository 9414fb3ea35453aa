"""A declared controller - what it watches, how changes become keys, who reconciles - and its worker loop."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import prometheus_client

from controlplane.api.errors import APIError
from controlplane.api.resource import Resource
from controlplane.client.informer import Informer
from controlplane.client.leader import NotLeader
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.informers import FollowedKinds
from controlplane.controllers.framework.reconciler import Reconciler, Terminal
from controlplane.controllers.framework.sources import Change, Mapper
from controlplane.controllers.framework.workqueue import WorkQueue
from kvstore.base.log import get_logger

K = TypeVar("K", bound=Hashable)

_log = get_logger("controller")
_RECONCILES = prometheus_client.Counter(
    "quorate_controller_reconciles_total", "Reconciliations by outcome.", ["controller", "outcome"]
)


@dataclass(frozen=True, slots=True)
class Watch(Generic[K]):
    """Changes of `resource` become keys through `mapper`; those of an urgent change go before all others."""

    resource: Resource
    mapper: Mapper[K]
    is_urgent: Callable[[Change], bool] | None = None


@dataclass(frozen=True, slots=True)
class Controller(Generic[K]):
    """A declaration; `start` keys are worked on even if nothing changed.

    `any_kind` gives the mapper for changes of each followed kind, as kinds come and go.
    """

    name: str
    watches: Sequence[Watch[K]]
    reconciler: Reconciler[K]
    workers: int = 4
    start: Sequence[K] = ()
    any_kind: Callable[[Resource], Mapper[K]] | None = None

    async def run(self, context: Context) -> None:
        """Work until cancelled. The informers must be synced."""
        queue: WorkQueue[K] = WorkQueue(context.clock, rng=context.rng, name=f"queue-{self.name}")
        listeners: list[_Connection] = [
            _connect(queue, context.informers.of(watch.resource), watch.mapper, watch.is_urgent)
            for watch in self.watches
        ]
        if self.any_kind is not None:
            listeners.append(_EveryKind(queue, context.followed, self.any_kind))
        for key in self.start:
            queue.add(key)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(queue), name=f"{self.name}/{number}")
        finally:
            for listener in listeners:
                listener.remove()
            await queue.close()

    async def _work(self, queue: WorkQueue[K]) -> None:
        while True:
            key = await queue.get()
            try:
                await self._work_on(queue, key)
            finally:
                queue.done(key)

    async def _work_on(self, queue: WorkQueue[K], key: K) -> None:
        outcome = "done"
        try:
            result = await self.reconciler.reconcile(key)
            queue.forget(key)
            if result.after_seconds is not None:
                queue.add_after(key, result.after_seconds)
        except Terminal as error:
            outcome = "terminal"
            queue.forget(key)
            _log.warning("given up", controller=self.name, key=key, error=str(error))
        except (APIError, NotLeader) as error:
            outcome = "retry"
            delay = queue.retry(key)
            _log.info(
                "retrying", controller=self.name, key=key, error=str(error), seconds=round(delay, 3)
            )
        except Exception:
            # A bug on one object must not stop the work on all others.
            outcome = "error"
            queue.retry(key)
            _log.exception("reconcile failed", controller=self.name, key=key)
        _RECONCILES.labels(self.name, outcome).inc()


class _Connection(Protocol):
    def remove(self) -> None: ...


class _EveryKind(Generic[K]):
    """Connects a queue to every followed kind."""

    def __init__(
        self,
        queue: WorkQueue[K],
        followed: FollowedKinds,
        mapper_of: Callable[[Resource], Mapper[K]],
    ) -> None:
        self._queue = queue
        self._followed = followed
        self._mapper_of = mapper_of
        self._connections: dict[Informer, _Connection] = {}
        self._end = followed.add_listener(self._update)
        self._update()

    def _update(self) -> None:
        rows = {informer: resource for resource, informer in self._followed.rows()}
        for informer in self._connections.keys() - rows.keys():
            self._connections.pop(informer).remove()
        for informer, resource in rows.items():
            if informer not in self._connections:
                mapper = self._mapper_of(resource)
                self._connections[informer] = _connect(self._queue, informer, mapper)

    def remove(self) -> None:
        self._end()
        for connection in self._connections.values():
            connection.remove()


def _connect(
    queue: WorkQueue[K],
    informer: Informer,
    mapper: Mapper[K],
    is_urgent: Callable[[Change], bool] | None = None,
) -> _Connection:
    def told(old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        change = Change(old, new)
        for key in mapper(change):
            queue.add(key, is_urgent=is_urgent is not None and is_urgent(change))

    return informer.add_listener(
        on_add=lambda new: told(None, new),
        on_update=lambda old, new: told(old, new),
        on_delete=lambda old: told(old, None),
    )
