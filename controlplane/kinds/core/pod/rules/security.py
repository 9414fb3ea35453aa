"""Rules of security contexts, and of what an operating system allows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape
from controlplane.kinds.core.pod.rules import paths

MAX_ID = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_PROFILE = 4095
_SECCOMP = Shape((("Type", "type", ""), ("LocalhostProfile", "localhostProfile", None)))
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_RE = re.compile(_SYSCTL)
_MAX_SYSCTL = 253
_IPC = re.compile(
    r"kernel\.(sem|shm(all|max|mni|_rmid_forced)|msg(max|mnb|mni))|(kernel\.(shm|msg)|fs\.mqueue)\..*"
)
_NOT_FOR_WINDOWS = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
)
_SPEC_NOT_FOR_WINDOWS = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
_CONTAINER_NOT_FOR_WINDOWS = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)
_NETBIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_WINDOWS_DOMAIN = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)


def containers_of(spec: View, path: str) -> Iterator[tuple[View, str]]:
    """All containers with their paths, in upstream's order."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield container, f"{path}.{kind}[{index}]"


def validate_pod_context(spec: View, path: str) -> list[Cause]:
    """Causes in the pod's own security context."""
    context: View = spec.get("securityContext") or {}
    where = f"{path}.securityContext"
    causes = _ids(context, where, ("fsGroup", "runAsUser", "runAsGroup"))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        causes += fields.in_range(f"{where}.supplementalGroups[{index}]", group, 0, MAX_ID)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(fields.invalid(f"{where}.shareProcessNamespace", True, detail))
    causes += _sysctls(context.get("sysctls"), spec, f"{where}.sysctls")
    if context.get("fsGroupChangePolicy") is not None:
        policies = ("Always", "OnRootMismatch")
        policy = context["fsGroupChangePolicy"]
        causes += fields.enum(f"{where}.fsGroupChangePolicy", policy, policies)
    causes += _seccomp(context.get("seccompProfile"), f"{where}.seccompProfile")
    causes += _windows_options(context.get("windowsOptions"), f"{where}.windowsOptions")
    causes += _app_armor(context.get("appArmorProfile"), f"{where}.appArmorProfile")
    for key, words in (
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        if context.get(key) is not None:
            causes += fields.enum(f"{where}.{key}", context[key], words)
    return causes


def _ids(context: View, path: str, keys: tuple[str, ...]) -> list[Cause]:
    return [
        cause
        for key in keys
        if context.get(key) is not None
        for cause in fields.in_range(f"{path}.{key}", context[key], 0, MAX_ID)
    ]


def _sysctls(rows: Any, spec: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows or ()):
        where, name = f"{path}[{index}].name", row.get("name") or ""
        if not name:
            causes.append(fields.required(where))
        elif len(name) > _MAX_SYSCTL or not _SYSCTL_RE.fullmatch(name):
            detail = f"must have at most {_MAX_SYSCTL} characters and match regex ^{_SYSCTL}$"
            causes.append(fields.invalid(where, name, detail))
        elif name in seen:
            causes.append(fields.duplicate(where, name))
        seen.add(name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            detail = "may not be specified when 'hostNetwork' is true"
            causes.append(fields.invalid(where, name, detail))
        elif spec.get("hostIPC") and _IPC.fullmatch(dotted):
            detail = "may not be specified when 'hostIPC' is true"
            causes.append(fields.invalid(where, name, detail))
    return causes


def _seccomp(profile: View | None, path: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type"), profile.get("localhostProfile")
    causes = []
    if not kind:
        causes.append(
            fields.required(f"{path}.type", "type is required when seccompProfile is set")
        )
    elif kind not in _PROFILES:
        causes.append(fields.not_supported(f"{path}.type", kind, _PROFILES))
    where = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            detail = "must be set when seccomp type is Localhost"
            return [*causes, fields.required(where, detail)]
        return causes + paths.descending(local, where)
    if local is not None:
        detail = "can only be set when seccomp type is Localhost"
        causes.append(fields.invalid(where, _SECCOMP.of(profile), detail))
    return causes


def _app_armor(profile: View | None, path: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type"), profile.get("localhostProfile")
    where = f"{path}.localhostProfile"
    if kind == "Localhost":
        detail = "must be set when AppArmor type is Localhost"
        if local is None:
            return [fields.required(where, detail)]
        causes = []
        if local != local.strip():
            causes.append(fields.invalid(where, local, "must not be padded with whitespace"))
        elif not local:
            causes.append(fields.required(where, detail))
        if len(local) > _MAX_PROFILE:
            causes.append(fields.too_long(where, _MAX_PROFILE))
        return causes
    if not kind:
        detail = "type is required when appArmorProfile is set"
        return [fields.required(f"{path}.type", detail)]
    if kind not in _PROFILES:
        return [fields.not_supported(f"{path}.type", kind, _PROFILES)]
    if local is not None:
        detail = "can only be set when AppArmor type is Localhost"
        return [fields.invalid(where, local, detail)]
    return []


def validate_context(context: View | None, path: str, *, has_host_users: bool) -> list[Cause]:
    """Causes in a container's security context."""
    if context is None:
        return []
    causes = _ids(context, path, ("runAsUser", "runAsGroup"))
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            causes.append(fields.not_supported(f"{path}.procMount", mount, ("Default", "Unmasked")))
        if has_host_users and mount == "Unmasked":
            detail = "`hostUsers` must be false to use `Unmasked`"
            causes.append(fields.invalid(f"{path}.procMount", mount, detail))
    causes += _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            causes.append(fields.invalid(path, context, detail))
        added = (context.get("capabilities") or {}).get("add") or ()
        detail = (
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        )
        causes += [
            fields.invalid(path, context, detail) for name in added if name == "CAP_SYS_ADMIN"
        ]
    causes += _windows_options(context.get("windowsOptions"), f"{path}.windowsOptions")
    return causes + _app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def _windows_options(options: View | None, path: str) -> list[Cause]:
    if options is None:
        return []
    causes: list[Cause] = []
    name, text = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    if name is not None:
        problems = names.dns_subdomain(name)
        causes += fields.each(f"{path}.gmsaCredentialSpecName", name, problems)
    if text is not None:
        where = f"{path}.gmsaCredentialSpec"
        if not text:
            detail = "gmsaCredentialSpec cannot be an empty string"
            causes.append(fields.invalid(where, text, detail))
        elif len(text.encode()) > 64 * 1024:
            detail = "gmsaCredentialSpec size must be under 64 KiB"
            causes.append(fields.invalid(where, text, detail))
    user = options.get("runAsUserName")
    if user is not None:
        causes += fields.each(f"{path}.runAsUserName", user, _windows_user(user))
    return causes


def _windows_user(text: str) -> list[str]:
    if not text:
        return ["runAsUserName cannot be an empty string"]
    if re.search(r"[\x00-\x1f\x7f]", text):
        return ["runAsUserName cannot contain control characters"]
    parts = text.split("\\")
    if len(parts) > 2:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, user = parts if len(parts) == 2 else ("", parts[0])
    problems = []
    if len(domain) >= 256:
        problems.append("runAsUserName's Domain length must be under 256 characters")
    if len(parts) == 2 and not (_NETBIOS.fullmatch(domain) or _WINDOWS_DOMAIN.fullmatch(domain)):
        problems.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        problems.append("runAsUserName's User cannot be empty")
    elif len(user) > 104:
        problems.append("runAsUserName's User length must not be longer than 104 characters")
    if re.fullmatch(r"[. ]+", user):
        problems.append("runAsUserName's User cannot contain only periods or spaces")
    if re.search(r'["/\\:;|=,+*?<>@\[\]]', user):
        problems.append(
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
        )
    return problems


def validate_host_process(spec: View, path: str) -> list[Cause]:
    """Windows host processes: all of a pod's containers or none, and on the host's network."""
    causes: list[Cause] = []
    options = (spec.get("securityContext") or {}).get("windowsOptions") or {}
    of_pod = options.get("hostProcess")
    total = count = 0
    for container, where in containers_of(spec, path):
        total += 1
        mine = ((container.get("securityContext") or {}).get("windowsOptions") or {}).get(
            "hostProcess"
        )
        if of_pod is not None and mine is not None and of_pod != mine:
            shown = str(of_pod).lower()
            detail = f"pod hostProcess value must be identical if both are specified, was {shown}"
            place = f"{where}.securityContext.windowsOptions.hostProcess"
            causes.append(fields.invalid(place, mine, detail))
        count += bool(mine if mine is not None else of_pod)
    if count and count != total:
        detail = (
            "If pod contains any hostProcess containers then all containers must be HostProcess "
            "containers"
        )
        causes.append(fields.invalid(path, "", detail))
    if count and not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        causes.append(fields.invalid(f"{path}.hostNetwork", False, detail))
    return causes


def validate_host_users(spec: View, path: str) -> list[Cause]:
    """A user namespace of its own goes with no other namespace of the host."""
    if spec.get("hostUsers") is not False:
        return []
    detail = "when `hostUsers` is false"
    causes = [
        fields.forbidden(f"{path}.{place}", detail)
        # Compat: upstream spells two of the three with a capital.
        for key, place in (
            ("hostNetwork", "hostNetwork"),
            ("hostPID", "HostPID"),
            ("hostIPC", "HostIPC"),
        )
        if spec.get(key)
    ]
    for container, where in containers_of(spec, path):
        if container.get("volumeDevices"):
            causes.append(fields.forbidden(f"{where}.volumeDevices", detail))
    return causes


def validate_os(spec: View, path: str) -> list[Cause]:
    """What the operating system that the pod names does not have."""
    system: Obj | None = spec.get("os")
    if system is None:
        return []
    name = system.get("name")
    if not name:
        return [fields.required(f"{path}.os.name")]
    if name == "linux":
        return _linux(spec, path)
    if name == "windows":
        return _windows(spec, path)
    return [fields.not_supported(f"{path}.os", name, ("linux", "windows"))]


def _linux(spec: View, path: str) -> list[Cause]:
    detail = "windows options cannot be set for a linux pod"
    causes = []
    if (spec.get("securityContext") or {}).get("windowsOptions") is not None:
        causes.append(fields.forbidden(f"{path}.securityContext.windowsOptions", detail))
    for container, where in containers_of(spec, path):
        if (container.get("securityContext") or {}).get("windowsOptions") is not None:
            causes.append(fields.forbidden(f"{where}.securityContext.windowsOptions", detail))
    return causes


def _windows(spec: View, path: str) -> list[Cause]:
    detail = "cannot be set for a windows pod"
    context = spec.get("securityContext") or {}
    causes = [
        fields.forbidden(f"{path}.securityContext.{key}", detail)
        for key in _NOT_FOR_WINDOWS
        if context.get(key) not in (None, [])
    ]
    causes += [
        fields.forbidden(f"{path}.{key}", detail)
        for key in _SPEC_NOT_FOR_WINDOWS
        if spec.get(key) or (key in ("hostUsers", "shareProcessNamespace") and key in spec)
    ]
    for container, where in containers_of(spec, path):
        own = container.get("securityContext") or {}
        causes += [
            fields.forbidden(f"{where}.securityContext.{key}", detail)
            for key in _CONTAINER_NOT_FOR_WINDOWS
            if own.get(key) is not None
        ]
    return causes
