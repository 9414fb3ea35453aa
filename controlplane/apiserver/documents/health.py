"""/livez, /readyz, /healthz, /version and /metrics."""

import asyncio
import platform

from controlplane.apiserver.documents import root
from controlplane.apiserver.http.messages import Request, Response, json_response
from controlplane.apiserver.served import Server
from controlplane.storage.errors import StorageError

# A probe gives up before those who ask do.
_PROBE_SECONDS = 2.0
GIT_VERSION = "v1.36.2+quorate"


# What the start has to have done, by the names under which monitoring asks for it.
_START_HOOKS = (
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
)


async def handle_check(server: Server, request: Request) -> Response:
    """200 `ok`, or 500 with the list of checks; a path below names one check."""
    words = [part for part in request.path.split("/") if part]
    kind, name = words[0], "/".join(words[1:])
    checks = await _checks(server, kind, name)
    if name:
        if name not in checks:
            return root.not_found()
        problem = checks[name]
        text = f"internal server error: {problem}\n" if problem else "ok"
        return Response(500 if problem else 200, text.encode(), "text/plain; charset=utf-8")
    excluded = request.query.get("exclude", [])
    failed = [key for key, value in checks.items() if value and key not in excluded]
    if not failed and "verbose" not in request.query:
        return _text(200, "ok")
    lines = [_line(key, value, key in excluded) for key, value in checks.items()]
    unknown = [key for key in excluded if key not in checks]
    if unknown:
        shown = ", ".join(f'"{key}"' for key in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {shown}")
    lines.append(f"{kind} check {'failed' if failed else 'passed'}")
    return _text(500 if failed else 200, "\n".join(lines) + "\n")


def _line(name: str, problem: str, is_excluded: bool) -> str:
    if is_excluded:
        return f"[+]{name} excluded: ok"
    return f"[-]{name} failed: {problem}" if problem else f"[+]{name} ok"


async def _checks(server: Server, kind: str, name: str) -> dict[str, str]:
    """What is wrong with each part, empty where nothing is; the store is asked only when it is to be told."""
    checks = {"ping": "", "log": ""}
    if kind != "livez":
        # Only readiness looks at the store: a server without quorum is alive, restarting it heals nothing.
        checks["etcd"] = await store_problem(server) if name in ("", "etcd") else ""
    is_started = server.bootstrapped.is_set()
    waiting = "" if is_started or kind == "livez" else "not finished"
    if kind == "readyz":
        checks["informer-sync"] = "" if server.caches.revision else "caches are not loaded yet"
    checks |= dict.fromkeys(_START_HOOKS, waiting)
    if kind == "readyz":
        checks["shutdown"] = "process is shutting down" if server.stopping.is_set() else ""
    return checks


async def store_problem(server: Server) -> str:
    """Why the store does not answer; empty when it does."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await server.storage.current_revision()
    except (StorageError, TimeoutError) as error:
        return str(error) or "no answer in time"
    return ""


def _text(code: int, text: str) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(code, text.encode(), "text/plain; charset=utf-8", headers)


async def handle_version(server: Server, request: Request) -> Response:
    """The version clients adapt to."""
    del server, request
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


async def handle_metrics(server: Server, request: Request) -> Response:
    """Counters, in the text format."""
    del request
    return Response(200, server.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
