"""Pods whose binding some Permit plugin holds back."""

import asyncio
from dataclasses import dataclass, field

from controlplane.scheduler.framework.node_info import PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unschedulable
from kvstore.base.clock import Clock


@dataclass(slots=True, eq=False)
class WaitingPod:
    """A decided pod, and the plugins that have not allowed it yet with the seconds each waits."""

    pod: PodInfo
    node_name: str
    pending: dict[str, float]
    verdict: "asyncio.Future[Status]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def allow(self, plugin: str) -> None:
        """One plugin waits no more; the last one lets the pod go on."""
        self.pending.pop(plugin, None)
        if not self.pending and not self.verdict.done():
            self.verdict.set_result(SUCCESS)

    def reject(self, plugin: str, why: str) -> None:
        """The pod goes back to the queue."""
        if not self.verdict.done():
            refusal = unschedulable(f"pod {self.pod.name} rejected while waiting on permit: {why}")
            self.verdict.set_result(Status(refusal.code, refusal.reasons, plugin))


class WaitingPods:
    """All of them, by uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pods: dict[str, WaitingPod] = {}

    def add(self, pod: PodInfo, node_name: str, waits: dict[str, float]) -> None:
        """A pod begins to wait; `waits` are seconds by plugin."""
        self._pods[pod.uid] = WaitingPod(pod, node_name, dict(waits))

    def all(self) -> list[WaitingPod]:
        """Every pod that waits now."""
        return list(self._pods.values())

    def get(self, uid: str) -> WaitingPod | None:
        """One of them, None when it does not wait."""
        return self._pods.get(uid)

    async def wait(self, uid: str) -> Status:
        """The verdict; success for a pod that does not wait."""
        waiting = self._pods.get(uid)
        if waiting is None:
            return SUCCESS
        plugin, seconds = min(waiting.pending.items(), key=lambda item: item[1])
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiting.verdict, timer), return_when=asyncio.FIRST_COMPLETED)
            waiting.reject(plugin, f"timeout after waiting {seconds:g}s at plugin {plugin}")
            return waiting.verdict.result()
        finally:
            timer.cancel()
            del self._pods[uid]
