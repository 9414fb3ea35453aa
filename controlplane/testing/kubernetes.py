"""A cluster in this process for code that does not run on its loop: tests, and clients of any kind by a kubeconfig.

The cluster has a loop in a thread of its own; every method may be called from any other thread, and waits.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.storage.memory import MemoryState
from controlplane.testing.cluster import InProcessCluster
from controlplane.testing.hollow import Life
from kvstore.base.clock import ManualClock
from kvstore.client.portal import Portal


class Kubernetes:
    """A running cluster; `close` ends it. Options are those of `InProcessCluster`.

    With `virtual_time` the cluster's clock stands still but for `advance` and `run_until`. Clients that wait by the
    machine's clock, as all outside this process do, then see time jump.
    """

    def __init__(
        self, *, nodes: int | Sequence[str] = 1, virtual_time: bool = False, **settings: Any
    ) -> None:
        self._portal = Portal("quorate-kubernetes")

        async def start() -> InProcessCluster:
            clock = ManualClock() if virtual_time else None
            cluster = InProcessCluster(nodes=nodes, clock=clock, listens=True, **settings)
            try:
                await cluster.start()
            except BaseException:
                await cluster.stop()
                raise
            return cluster

        try:
            self._cluster = self._portal.run(start)
        except BaseException:
            self._portal.close()
            raise
        self._empty = self.checkpoint_now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the cluster. Idempotent."""
        if self._portal.is_open:
            try:
                self._portal.run(self._cluster.stop)
            finally:
                self._portal.close()

    # ---- for clients ----

    @property
    def kubeconfig(self) -> Path:
        """A file for any client: kubectl, client libraries, controllers. It shows an administrator."""
        return self._cluster.kubeconfig

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://127.0.0.1:{self._cluster.server.app.port}"

    # ---- the state ----

    def objects(self, kind: str, namespace: str = "") -> list[Obj]:
        """The objects of a kind as they are stored. `kind` is a plural, a short name or a kind. Raises KeyError."""
        row = self._row(kind)

        async def found() -> list[Obj]:
            return self._cluster.server.objects(row, namespace)

        return self._portal.run(found)

    def object(self, kind: str, name: str, namespace: str = "default") -> Obj | None:
        """One object as it is stored; None when there is none."""
        row = self._row(kind)

        async def found() -> Obj | None:
            return self._cluster.server.object(row, name, namespace if row.namespaced else "")

        return self._portal.run(found)

    def _row(self, kind: str) -> Resource:
        row = self._cluster.server.app.server.scheme.find(kind)
        if row is None:
            raise KeyError(f"no kind is called {kind}")
        return row

    def checkpoint_now(self) -> MemoryState:
        """The state of now, for `restore`."""

        async def taken() -> MemoryState:
            return self._cluster.checkpoint()

        return self._portal.run(taken)

    def restore(self, state: MemoryState) -> None:
        """Take all objects back to `state`; open watches see it as changes."""
        self._portal.run(lambda: self._cluster.restore(state))

    def reset(self) -> None:
        """Take all objects back to those of the start, bring back nodes that were stopped, forget rules of lives."""

        async def anew() -> None:
            for runtime in self._cluster.runtimes.values():
                runtime.lives.clear()
            for name in self._cluster.nodes:
                self._cluster.start_node(name)

        self.restore(self._empty)
        self._portal.run(anew)

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[None]:
        """What happens in the block is undone at its end."""
        state = self.checkpoint_now()
        try:
            yield
        finally:
            self.restore(state)

    # ---- nodes ----

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes."""
        return list(self._cluster.nodes)

    def stop_node(self, name: str) -> None:
        """The node falls silent. Raises KeyError."""
        self._portal.run(lambda: self._cluster.stop_node(name))

    def start_node(self, name: str) -> None:
        """The node comes back. Raises KeyError."""

        async def started() -> None:
            self._cluster.start_node(name)

        self._portal.run(started)

    def set_lives(self, *lives: Life) -> None:
        """How containers that start from now on live, on all nodes; the first rule that fits counts."""

        async def put() -> None:
            for runtime in self._cluster.runtimes.values():
                runtime.lives[:] = lives

        self._portal.run(put)

    # ---- time ----

    def advance(self, seconds: float) -> None:
        """Let time pass at once. Raises TypeError without `virtual_time`."""
        self._portal.run(lambda: self._cluster.advance(seconds))

    def run_until(self, holds: Callable[[], bool], *, seconds: float = 60.0) -> float:
        """Wait until `holds`, which is asked in a thread of its own, says True; the cluster's time that it took.

        At most `seconds` of that time; raises TimeoutError.
        """

        async def until() -> float:
            return await self._cluster.until(lambda: asyncio.to_thread(holds), seconds=seconds)

        return self._portal.run(until)
