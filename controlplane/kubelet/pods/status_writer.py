"""Keeps the API server's status of one pod equal to the one wanted, and removes the pod at its very end.

Runs beside the worker, so that containers restart while no API server answers. Only the last status wanted counts.
"""

import random
from collections.abc import Mapping
from typing import Any

from controlplane.api.errors import APIError, Conflict, NotFound
from controlplane.client.rest import STRATEGIC_MERGE_PATCH, RestClient
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kubelet.pods.status import status_patch
from controlplane.kubelet.pods.wake import Wake
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_log = get_logger("status")


class StatusWriter:
    """Writes the status of one pod."""

    def __init__(
        self, client: RestClient, pod: Mapping[str, Any], clock: Clock, rng: random.Random
    ) -> None:
        self._client = client
        self._clock = clock
        self._backoff = Backoff(0.2, 5.0, rng=rng)
        self._wake = Wake(clock)
        self._known = pod
        self._wanted: dict[str, Any] | None = None
        self._remove = False
        self.gone = False
        """The pod does not exist any more."""

    def seen(self, pod: Mapping[str, Any]) -> None:
        """The watch showed the pod."""
        if _version(pod) >= _version(self._known):
            self._known = pod

    def want(self, status: dict[str, Any], *, remove: bool = False) -> None:
        """The status to write; with `remove`, delete the pod after that."""
        self._remove = self._remove or remove
        if self._remove or status_patch(self._known.get("status") or {}, status):
            self._wanted = status
            self._wake.call()

    async def run(self) -> None:
        """Write until the pod is gone."""
        while not self.gone:
            await self._wake.wait()
            while self._wanted is not None and not self.gone:
                status, self._wanted = self._wanted, None
                try:
                    await self._write(status)
                    self._backoff.reset()
                except NotFound:
                    self.gone = True
                except Conflict as problem:
                    # Another pod of that name has taken its place.
                    _log.debug(
                        "pod replaced", pod=self._known["metadata"]["name"], why=str(problem)
                    )
                    self.gone = True
                except APIError as problem:
                    _log.debug("status not written", error=str(problem))
                    self._wanted = self._wanted or status
                    await self._wake.wait(self._backoff.next())

    async def _write(self, status: dict[str, Any]) -> None:
        meta, pods = self._known["metadata"], PODS
        patch = status_patch(self._known.get("status") or {}, status)
        if patch:
            self._known = await self._client.patch(
                pods,
                meta["name"],
                {"metadata": {"uid": meta["uid"]}, "status": patch},
                meta.get("namespace", ""),
                patch_type=STRATEGIC_MERGE_PATCH,
                subresource="status",
            )
        if self._remove:
            await self._client.delete(
                pods,
                meta["name"],
                meta.get("namespace", ""),
                uid=meta["uid"],
                grace_period_seconds=0,
            )
            self.gone = True


def _version(pod: Mapping[str, Any]) -> int:
    text = str(pod["metadata"].get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0
