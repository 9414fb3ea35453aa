"""Rules of probes and lifecycle hooks: one handler each."""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields

_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_SIGNALS = tuple(
    sorted(
        "SIG" + word
        for word in (
            "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV "
            "STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN "
            "RTMAX "
            + " ".join(f"RTMIN+{n}" for n in range(1, 16))
            + "  ".join(f"RTMAX-{n}" for n in range(1, 15))
        ).split()
    )
)
_WINDOWS_SIGNALS = ("SIGKILL", "SIGTERM")


def validate_probes(container: View, path: str, grace: int | None) -> list[Cause]:
    """Causes in the three probes; `grace` is the pod's terminationGracePeriodSeconds."""
    causes: list[Cause] = []
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(key)
        if probe is None:
            continue
        where = f"{path}.{key}"
        causes += _handler(probe, _PROBE_HANDLERS, where, grace)
        for count in _COUNTS:
            causes += fields.non_negative(f"{where}.{count}", probe.get(count))
        own = probe.get("terminationGracePeriodSeconds")
        if own is not None and own <= 0:
            place = f"{where}.terminationGracePeriodSeconds"
            causes.append(fields.invalid(place, own, "must be greater than 0"))
        if key == "readinessProbe":
            if own is not None:
                place = f"{where}.terminationGracePeriodSeconds"
                causes.append(fields.invalid(place, own, "must not be set for readinessProbes"))
        elif probe.get("successThreshold") != 1:
            shown = probe.get("successThreshold") or 0
            causes.append(fields.invalid(f"{where}.successThreshold", shown, "must be 1"))
    return causes


def validate_lifecycle(container: View, path: str, spec: View) -> list[Cause]:
    """Causes in the hooks and the stop signal."""
    lifecycle: View = container.get("lifecycle") or {}
    grace = spec.get("terminationGracePeriodSeconds")
    causes: list[Cause] = []
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            causes += _handler(lifecycle[hook], _HOOK_HANDLERS, f"{path}.lifecycle.{hook}", grace)
    signal, where = lifecycle.get("stopSignal"), f"{path}.lifecycle.stopSignal"
    if signal is None:
        return causes
    system = (spec.get("os") or {}).get("name")
    if spec.get("os") is None:
        detail = "may not be set for containers with empty `spec.os.name`"
        causes.append(fields.forbidden(where, detail))
    elif system == "windows":
        causes += fields.enum(where, signal, _WINDOWS_SIGNALS)
    elif system == "linux":
        causes += fields.enum(where, signal, _SIGNALS)
    return causes


def _handler(handlers: View, kinds: tuple[str, ...], path: str, grace: int | None) -> list[Cause]:
    causes: list[Cause] = []
    has_one = False
    for kind in kinds:
        action = handlers.get(kind)
        if action is None:
            continue
        where = f"{path}.{kind}"
        if has_one:
            detail = "may not specify more than 1 handler type"
            causes.append(fields.forbidden(where, detail))
            continue
        has_one = True
        causes += _action(kind, action, where, grace)
    if not has_one:
        causes.append(fields.required(path, "must specify a handler type"))
    return causes


def _action(kind: str, action: View, path: str, grace: int | None) -> list[Cause]:
    if kind == "exec":
        return [] if action.get("command") else [fields.required(f"{path}.command")]
    if kind == "httpGet":
        return _http_get(action, path)
    if kind == "grpc":
        return fields.port_number(f"{path}.port", action.get("port") or 0)
    if kind == "tcpSocket":
        return fields.port_or_name(f"{path}.port", action.get("port"))
    seconds: Any = action.get("seconds") or 0
    if grace is not None and not 0 <= seconds <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        return [fields.invalid(path, seconds, detail)]
    return []


def _http_get(action: View, path: str) -> list[Cause]:
    causes = [] if action.get("path") else [fields.required(f"{path}.path")]
    causes += fields.port_or_name(f"{path}.port", action.get("port"))
    causes += fields.enum(f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        causes += fields.each(f"{path}.httpHeaders", name, names.http_header(name))
    return causes
