"""A declared controller - what it watches, how changes become keys, who reconciles - and its worker loop."""

import asyncio
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import prometheus_client

from controlplane.api.errors import APIError
from controlplane.api.resource import Resource
from controlplane.client.informer import Informer, Listener
from controlplane.client.leader import NotLeader
from controlplane.controllers.framework.reconciler import Reconciler, Terminal
from controlplane.controllers.framework.sources import Change, Mapper
from controlplane.controllers.framework.workqueue import WorkQueue
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

K = TypeVar("K", bound=Hashable)

_log = get_logger("controller")
_RECONCILES = prometheus_client.Counter(
    "quorate_controller_reconciles_total", "Reconciliations by outcome.", ["controller", "outcome"]
)


@dataclass(frozen=True, slots=True)
class Watch(Generic[K]):
    """Changes of `resource` become keys through `mapper`."""

    resource: Resource
    mapper: Mapper[K]


@dataclass(frozen=True, slots=True)
class Controller(Generic[K]):
    """A declaration; `start` keys are worked on even if nothing changed."""

    name: str
    watches: Sequence[Watch[K]]
    reconciler: Reconciler[K]
    workers: int = 4
    start: Sequence[K] = ()

    async def run(
        self, informer_of: Callable[[Resource], Informer], clock: Clock, rng: random.Random
    ) -> None:
        """Work until cancelled. The informers must be synced."""
        queue: WorkQueue[K] = WorkQueue(clock, rng=rng, name=f"queue-{self.name}")
        listeners = [
            _connect(queue, informer_of(watch.resource), watch.mapper) for watch in self.watches
        ]
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


def _connect(queue: WorkQueue[K], informer: Informer, mapper: Mapper[K]) -> Listener:
    def told(old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        for key in mapper(Change(old, new)):
            queue.add(key)

    return informer.add_listener(
        on_add=lambda new: told(None, new),
        on_update=lambda old, new: told(old, new),
        on_delete=lambda old: told(old, None),
    )
