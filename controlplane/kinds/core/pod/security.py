"""The Pod Security Standards: what a pod breaks of the levels baseline and restricted, as of 1.36. Pure.

Each check gives a reason and a detail, or nothing. `restricted` has stricter checks in place of some of baseline's.
Earlier versions of the standards are not kept: a namespace that pins one is held to these.

Source: pod-security-admission/policy, and the page "Pod Security Standards" of the Kubernetes documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from controlplane.api.meta import Obj, View

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)

Violation = tuple[str, str]
Check = Callable[[View, View], Violation | None]

_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
SAFE_SYSCTLS = frozenset(
    [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ]
)
"""What every pod may set: nothing of it reaches beyond the pod. Source: pkg/kubelet/sysctl/safe_sysctls.go."""
_SELINUX_TYPES = (
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
)
_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_CONFINED = ("RuntimeDefault", "Localhost")
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(level: str, metadata: View, spec: View) -> list[Violation]:
    """(reason, detail) of each check of the level that the pod does not pass, in upstream's order."""
    checks: Sequence[Check] = ()
    if level == BASELINE:
        checks = _BASELINE
    elif level == RESTRICTED:
        checks = _RESTRICTED
    found = (check(metadata, spec) for check in checks)
    return [one for one in found if one is not None]


def told(found: Iterable[Violation]) -> str:
    """All violations as one text."""
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)


def _containers(spec: View) -> Iterator[Obj]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _security(of: View) -> View:
    found: View = of.get("securityContext") or {}
    return found


def _quoted(items: Iterable[str]) -> str:
    return ", ".join(f'"{one}"' for one in items)


def _named(word: str, items: Sequence[str]) -> str:
    return f"{word if len(items) == 1 else word + 's'} {_quoted(items)}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def _where(spec: View, is_bad: Callable[[View], bool]) -> tuple[bool, list[str]]:
    """(whether the pod's security context is bad, names of the containers whose own is)."""
    bad = [str(one.get("name")) for one in _containers(spec) if is_bad(_security(one))]
    return is_bad(_security(spec)), bad


def _setters(of_pod: bool, containers: Sequence[str]) -> str:
    parts = ["pod"] if of_pod else []
    if containers:
        parts.append(_named("container", containers))
    return " and ".join(parts)


def _in_user_namespace(spec: View) -> bool:
    return spec.get("hostUsers") is False


def _is_windows(spec: View) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


# ---- baseline ----


def _app_armor(metadata: View, spec: View) -> Violation | None:
    def kind(context: View) -> str | None:
        profile = context.get("appArmorProfile")
        return None if profile is None else str(profile.get("type") or "")

    def is_bad(context: View) -> bool:
        return kind(context) is not None and kind(context) not in _CONFINED

    of_pod, containers = _where(spec, is_bad)
    contexts = [_security(spec), *(_security(one) for one in _containers(spec))]
    values = sorted({str(kind(context)) for context in contexts if is_bad(context)})
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(_APP_ARMOR)
        and not (value in ("", "runtime/default") or value.startswith("localhost/"))
    )
    setters = [_setters(of_pod, containers)] if of_pod or containers else []
    if annotations:
        setters.append(_plural("annotation", len(annotations)))
        values += annotations
    if not setters:
        return None
    return (
        _plural("forbidden AppArmor profile", len(values)),
        f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(values)}",
    )


def _added(spec: View, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    containers, names = [], set()
    for one in _containers(spec):
        added = (_security(one).get("capabilities") or {}).get("add") or ()
        bad = {name for name in added if name not in allowed}
        if bad:
            containers.append(str(one.get("name")))
            names |= bad
    return containers, sorted(names)


def _capabilities(metadata: View, spec: View) -> Violation | None:
    containers, names = _added(spec, _CAPABILITIES)
    if not containers:
        return None
    return (
        "non-default capabilities",
        f"{_named('container', containers)} must not include {_quoted(names)} in "
        "securityContext.capabilities.add",
    )


def _host_namespaces(metadata: View, spec: View) -> Violation | None:
    found = [f"{one}=true" for one in ("hostNetwork", "hostPID", "hostIPC") if spec.get(one)]
    return ("host namespaces", ", ".join(found)) if found else None


def _host_path(metadata: View, spec: View) -> Violation | None:
    names = [str(one.get("name")) for one in spec.get("volumes") or () if one.get("hostPath")]
    return ("hostPath volumes", _named("volume", names)) if names else None


def _host_ports(metadata: View, spec: View) -> Violation | None:
    containers, ports = [], set()
    for one in _containers(spec):
        own = {port["hostPort"] for port in one.get("ports") or () if port.get("hostPort")}
        if own:
            containers.append(str(one.get("name")))
            ports |= {str(port) for port in own}
    if not containers:
        return None
    use = "uses" if len(containers) == 1 else "use"
    shown = f"{_plural('hostPort', len(ports))} {', '.join(sorted(ports))}"
    return "hostPort", f"{_named('container', containers)} {use} {shown}"


def _host_probes(metadata: View, spec: View) -> Violation | None:
    containers, hosts = set(), set()
    for one in _containers(spec):
        lifecycle = one.get("lifecycle") or {}
        handlers = [one.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        for handler in handlers:
            for action in ("httpGet", "tcpSocket"):
                host = ((handler or {}).get(action) or {}).get("host")
                if host:
                    containers.add(str(one.get("name")))
                    hosts.add(str(host))
    if not containers:
        return None
    use = "uses" if len(containers) == 1 else "use"
    return (
        "probe or lifecycle host",
        f"{_named('container', sorted(containers))} {use} "
        f"{_named('probe or lifecycle host', sorted(hosts))}",
    )


def _privileged(metadata: View, spec: View) -> Violation | None:
    _, containers = _where({**spec, "securityContext": {}}, lambda one: bool(one.get("privileged")))
    if not containers:
        return None
    detail = f"{_named('container', containers)} must not set securityContext.privileged=true"
    return "privileged", detail


def _proc_mount(metadata: View, spec: View) -> Violation | None:
    containers, kinds = [], set()
    for one in _containers(spec):
        kind = _security(one).get("procMount")
        if kind not in (None, "", "Default"):
            containers.append(str(one.get("name")))
            kinds.add(str(kind))
    if not containers:
        return None
    return (
        "procMount",
        f"{_named('container', containers)} must not set securityContext.procMount to "
        f"{_quoted(sorted(kinds))}",
    )


def _proc_mount_outside(metadata: View, spec: View) -> Violation | None:
    return None if _in_user_namespace(spec) else _proc_mount(metadata, spec)


def _selinux(metadata: View, spec: View) -> Violation | None:
    def options(context: View) -> View | None:
        found: View | None = context.get("seLinuxOptions")
        return found

    def is_bad(context: View) -> bool:
        own = options(context)
        if own is None:
            return False
        bad_type = (own.get("type") or "") not in _SELINUX_TYPES
        return bad_type or bool(own.get("user")) or bool(own.get("role"))

    of_pod, containers = _where(spec, is_bad)
    if not of_pod and not containers:
        return None
    contexts = [_security(spec), *(_security(one) for one in _containers(spec))]
    given = [own for own in map(options, contexts) if own is not None]
    types = sorted({str(one.get("type") or "") for one in given} - set(_SELINUX_TYPES))
    data = [_named("type", types)] if types else []
    data += [
        f"{field} may not be set" for field in ("user", "role") if any(o.get(field) for o in given)
    ]
    return (
        "seLinuxOptions",
        f"{_setters(of_pod, containers)} set forbidden securityContext.seLinuxOptions: "
        f"{'; '.join(data)}",
    )


def _seccomp_kind(context: View) -> str | None:
    profile = context.get("seccompProfile")
    return None if profile is None else str(profile.get("type") or "")


def _seccomp_set(spec: View) -> Violation | None:
    """A profile that is said and is not one of those that confine."""

    def is_bad(context: View) -> bool:
        return _seccomp_kind(context) is not None and _seccomp_kind(context) not in _CONFINED

    of_pod, containers = _where(spec, is_bad)
    if not of_pod and not containers:
        return None
    contexts = [_security(spec), *(_security(one) for one in _containers(spec))]
    values = sorted({str(_seccomp_kind(context)) for context in contexts if is_bad(context)})
    return (
        "seccompProfile",
        f"{_setters(of_pod, containers)} must not set securityContext.seccompProfile.type to "
        f"{_quoted(values)}",
    )


def _seccomp(metadata: View, spec: View) -> Violation | None:
    return _seccomp_set(spec)


def _sysctls(metadata: View, spec: View) -> Violation | None:
    given = [str(one.get("name")) for one in _security(spec).get("sysctls") or ()]
    bad = [name for name in given if name not in SAFE_SYSCTLS]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(metadata: View, spec: View) -> Violation | None:
    def is_bad(context: View) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    of_pod, containers = _where(spec, is_bad)
    if not of_pod and not containers:
        return None
    setters = _setters(of_pod, containers)
    return "hostProcess", f"{setters} must not set securityContext.windowsOptions.hostProcess=true"


# ---- restricted ----


def _escalation(metadata: View, spec: View) -> Violation | None:
    if _is_windows(spec):
        return None
    containers = [
        str(one.get("name"))
        for one in _containers(spec)
        if _security(one).get("allowPrivilegeEscalation") is not False
    ]
    if not containers:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_named('container', containers)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _capabilities_restricted(metadata: View, spec: View) -> Violation | None:
    if _is_windows(spec):
        return None
    keeping = [
        str(one.get("name"))
        for one in _containers(spec)
        if "ALL" not in ((_security(one).get("capabilities") or {}).get("drop") or ())
    ]
    adding, names = _added(spec, frozenset(("NET_BIND_SERVICE",)))
    details = []
    if keeping:
        details.append(
            f'{_named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]'
        )
    if adding:
        details.append(
            f"{_named('container', adding)} must not include {_quoted(names)} in "
            "securityContext.capabilities.add"
        )
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _volume_types(metadata: View, spec: View) -> Violation | None:
    volumes, kinds = [], set()
    for one in spec.get("volumes") or ():
        bad = sorted(key for key, value in one.items() if key != "name" and value is not None)
        bad = [key for key in bad if key not in _VOLUMES]
        if bad:
            volumes.append(str(one.get("name")))
            kinds |= set(bad)
    if not volumes:
        return None
    use = "uses" if len(volumes) == 1 else "use"
    return (
        "restricted volume types",
        f"{_named('volume', volumes)} {use} {_named('restricted volume type', sorted(kinds))}",
    )


def _non_root(metadata: View, spec: View) -> Violation | None:
    if _in_user_namespace(spec):
        return None
    reason = "runAsNonRoot != true"
    of_pod, containers = _where(spec, lambda one: one.get("runAsNonRoot") is False)
    if of_pod or containers:
        setters = _setters(of_pod, containers)
        return reason, f"{setters} must not set securityContext.runAsNonRoot=false"
    if _security(spec).get("runAsNonRoot"):
        return None
    silent = [
        str(one.get("name"))
        for one in _containers(spec)
        if _security(one).get("runAsNonRoot") is None
    ]
    if not silent:
        return None
    detail = f"pod or {_named('container', silent)} must set securityContext.runAsNonRoot=true"
    return reason, detail


def _root(metadata: View, spec: View) -> Violation | None:
    if _in_user_namespace(spec):
        return None
    of_pod, containers = _where(spec, lambda one: one.get("runAsUser") == 0)
    if not of_pod and not containers:
        return None
    return "runAsUser=0", f"{_setters(of_pod, containers)} must not set runAsUser=0"


def _seccomp_restricted(metadata: View, spec: View) -> Violation | None:
    if _is_windows(spec):
        return None
    found = _seccomp_set(spec)
    if found is not None:
        return found
    if _seccomp_kind(_security(spec)) is not None:
        return None
    silent = [
        str(one.get("name")) for one in _containers(spec) if _seccomp_kind(_security(one)) is None
    ]
    if not silent:
        return None
    return (
        "seccompProfile",
        f"pod or {_named('container', silent)} must set securityContext.seccompProfile.type to "
        '"RuntimeDefault" or "Localhost"',
    )


_BASELINE: tuple[Check, ...] = (
    _app_armor,
    _capabilities,
    _host_namespaces,
    _host_path,
    _host_ports,
    _host_probes,
    _privileged,
    _proc_mount_outside,
    _selinux,
    _seccomp,
    _sysctls,
    _host_process,
)
_RESTRICTED: tuple[Check, ...] = (
    _app_armor,
    _host_namespaces,
    _host_ports,
    _host_probes,
    _privileged,
    _selinux,
    _sysctls,
    _host_process,
    _escalation,
    _capabilities_restricted,
    _proc_mount,
    _volume_types,
    _non_root,
    _root,
    _seccomp_restricted,
)
