"""Startup, liveness and readiness probes of one run of a container.

Startup comes first and holds the others back. Thresholds count in a row. A liveness or startup probe that failed for
good says so in the `Verdict`, and the plan restarts the container; readiness only changes what the status says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from controlplane.api.meta import View
from controlplane.kubelet.pods.plan import Verdict
from controlplane.kubelet.probes import exec, grpc, http, tcp
from controlplane.kubelet.probes.interface import Target
from kvstore.base.clock import Clock

KINDS = ("startup", "liveness", "readiness")
WAYS: Mapping[str, Callable[[Target, View, float], Awaitable[str | None]]] = {
    "exec": exec.probe,
    "httpGet": http.probe,
    "tcpSocket": tcp.probe,
    "grpc": grpc.probe,
}
"""How each field of a probe is tried."""
Report = Callable[[str, str], None]
"""Reason and message of an event."""


def has_probes(container: View) -> bool:
    """Whether there is anything to run."""
    return any(container.get(f"{kind}Probe") for kind in KINDS)


def first_verdict(container: View) -> Verdict:
    """What holds before any probe has answered."""
    return Verdict(
        started=not container.get("startupProbe"), ready=not container.get("readinessProbe")
    )


class Prober:
    """Runs the probes of one container; `verdict` is always current."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        changed: Callable[[], None],
        report: Report,
    ) -> None:
        self.verdict = first_verdict(target.spec)
        self._container = target.spec
        self._target = target
        self._clock = clock
        self._changed = changed
        self._report = report

    async def run(self) -> None:
        """Probe until cancelled."""
        startup = self._container.get("startupProbe")
        if startup:
            await self._loop("startup", startup)
        async with asyncio.TaskGroup() as group:
            for kind in ("liveness", "readiness"):
                probe = self._container.get(f"{kind}Probe")
                if probe:
                    group.create_task(self._loop(kind, probe))

    async def _loop(self, kind: str, probe: View) -> None:
        good = bad = 0
        await self._clock.sleep(float(probe.get("initialDelaySeconds") or 0))
        while True:
            problem = await self._try(probe)
            good, bad = (good + 1, 0) if problem is None else (0, bad + 1)
            if problem is not None:
                self._report("Unhealthy", f"{kind.capitalize()} probe failed: {problem}")
            if good >= int(probe.get("successThreshold") or 1):
                self._set(kind, well=True)
                if kind == "startup":
                    return
            elif bad >= int(probe.get("failureThreshold") or 3):
                self._set(kind, well=False)
            await self._clock.sleep(float(probe.get("periodSeconds") or 10))

    def _set(self, kind: str, *, well: bool) -> None:
        old = self.verdict
        if kind == "readiness":
            self.verdict = Verdict(old.started, well, old.failed)
        elif not well:
            self.verdict = Verdict(old.started, old.ready, kind)
        elif kind == "startup":
            self.verdict = Verdict(True, old.ready, old.failed)
        if self.verdict != old:
            self._changed()

    async def _try(self, probe: View) -> str | None:
        """None when well, else what went wrong."""
        timeout = float(probe.get("timeoutSeconds") or 1)
        for key, way in WAYS.items():
            if probe.get(key) is None:
                continue
            try:
                return await way(self._target, probe[key], timeout)
            except TimeoutError as problem:
                return str(problem) or f"timed out after {timeout:g}s"
            except (OSError, ValueError, KeyError) as problem:
                return str(problem)
        return "the probe names no way of probing"
