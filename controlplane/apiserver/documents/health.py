"""/livez, /readyz, /healthz, /version and /metrics."""

import asyncio
import platform

from controlplane.apiserver.http.messages import Request, Response, json_response
from controlplane.apiserver.served import Parts
from controlplane.storage.errors import StorageError

# A probe gives up before those who ask do.
_PROBE_SECONDS = 2.0
GIT_VERSION = "v1.36.2+quorate"


async def handle_check(parts: Parts, request: Request) -> Response:
    """200 `ok`, or 500 with the list of checks; a path below names one check."""
    words = [part for part in request.path.split("/") if part]
    checks: dict[str, str] = {"ping": ""}
    if words[0] != "livez":
        # Only readiness looks at the store: a server without quorum is alive, restarting it heals nothing.
        checks["etcd"] = await _store(parts)
        checks["poststarthook/bootstrap"] = (
            "" if parts.bootstrapped.is_set() else "not finished: namespaces are not there yet"
        )
        checks["shutdown"] = "process is shutting down" if parts.stopping.is_set() else ""
    excluded = request.query.get("exclude", [])
    name = "/".join(words[1:])
    if name:
        checks = {key: value for key, value in checks.items() if key == name}
        if not checks:
            return Response(404, f"unknown check {name}\n".encode(), "text/plain")
    failed = [key for key, value in checks.items() if value and key not in excluded]
    if not failed and "verbose" not in request.query:
        return _text(200, "ok")
    lines = [
        f"[-]{key} failed: {value}" if key in failed else f"[+]{key} ok"
        for key, value in checks.items()
    ]
    lines.append(f"{words[0]} check {'failed' if failed else 'passed'}")
    return _text(500 if failed else 200, "\n".join(lines) + "\n")


async def _store(parts: Parts) -> str:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await parts.storage.current_revision()
    except (StorageError, TimeoutError) as error:
        return str(error) or "no answer in time"
    return ""


def _text(code: int, text: str) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(code, text.encode(), "text/plain; charset=utf-8", headers)


async def handle_version(parts: Parts, request: Request) -> Response:
    """The version clients adapt to."""
    del parts, request
    return json_response(
        200,
        {
            "major": "1",
            "minor": "36",
            "emulationMajor": "1",
            "emulationMinor": "36",
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": "35",
            "gitVersion": GIT_VERSION,
            "gitCommit": "",
            "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "none",
            "compiler": platform.python_implementation(),
            "platform": f"{platform.system().lower()}/{platform.machine()}",
        },
    )


async def handle_metrics(parts: Parts, request: Request) -> Response:
    """Counters, in the text format."""
    del request
    return Response(200, parts.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
