"""Startup, liveness and readiness probes of one run of a container.

Startup comes first and holds the others back. Thresholds count in a row. A liveness or startup probe that failed for
good says so in the `Verdict`, and the plan restarts the container; readiness only changes what the status says.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from controlplane.kubelet.pods.plan import Verdict
from controlplane.kubelet.runtimes.interface import ContainerRuntime
from kvstore.base.clock import Clock

Object = Mapping[str, Any]
KINDS = ("startup", "liveness", "readiness")
Report = Callable[[str, str], None]
"""Reason and message of an event."""


def has_probes(container: Object) -> bool:
    """Whether there is anything to run."""
    return any(container.get(f"{kind}Probe") for kind in KINDS)


def first_verdict(container: Object) -> Verdict:
    """What holds before any probe has answered."""
    return Verdict(
        started=not container.get("startupProbe"), ready=not container.get("readinessProbe")
    )


class Prober:
    """Runs the probes of one container; `verdict` is always current."""

    def __init__(
        self,
        container: Object,
        container_id: str,
        host: str,
        runtime: ContainerRuntime,
        clock: Clock,
        changed: Callable[[], None],
        report: Report,
    ) -> None:
        self.verdict = first_verdict(container)
        self._container = container
        self._id = container_id
        self._host = host
        self._runtime = runtime
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

    async def _loop(self, kind: str, probe: Object) -> None:
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

    async def _try(self, probe: Object) -> str | None:
        """None when well, else what went wrong."""
        timeout = float(probe.get("timeoutSeconds") or 1)
        try:
            if probe.get("exec"):
                return await self._exec(list(probe["exec"].get("command") or ()), timeout)
            if probe.get("httpGet"):
                return await asyncio.wait_for(self._http(probe["httpGet"], timeout), timeout)
            if probe.get("tcpSocket"):
                return await asyncio.wait_for(self._tcp(probe["tcpSocket"]), timeout)
        except TimeoutError:
            return f"timed out after {timeout:g}s"
        except (OSError, ValueError, KeyError) as problem:
            return str(problem)
        return "this kind of probe is not supported on this node" if probe.get("grpc") else None

    async def _exec(self, command: list[str], timeout: float) -> str | None:
        result = await self._runtime.exec_sync(self._id, command, timeout)
        return None if result.exit_code == 0 else result.output.decode(errors="replace")[:1024]

    async def _http(self, get: Object, timeout: float) -> str | None:
        import aiohttp  # Only nodes whose pods have such probes need it.

        host, port = get.get("host") or self._host, self._port(get["port"])
        scheme = str(get.get("scheme") or "HTTP").lower()
        url = f"{scheme}://{host}:{port}/{str(get.get('path') or '/').lstrip('/')}"
        headers = {h["name"]: h["value"] for h in get.get("httpHeaders") or ()}
        limits = aiohttp.ClientTimeout(total=timeout)
        try:
            async with (
                aiohttp.ClientSession(timeout=limits) as session,
                session.get(url, headers=headers, ssl=False, allow_redirects=False) as response,
            ):
                if 200 <= response.status < 400:
                    return None
                return f"HTTP probe failed with statuscode: {response.status}"
        except aiohttp.ClientConnectorError:
            return f'Get "{url}": dial tcp {host}:{port}: connect: connection refused'
        except aiohttp.ClientError as problem:
            return f'Get "{url}": {problem}'

    async def _tcp(self, socket: Object) -> str | None:
        host, port = socket.get("host") or self._host, self._port(socket["port"])
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return f"dial tcp {host}:{port}: connect: connection refused"
        writer.close()
        return None

    def _port(self, port: int | str) -> int:
        for entry in self._container.get("ports") or ():
            if entry.get("name") == port:
                return int(entry["containerPort"])
        return int(port)
