"""Rules of containers: regular, init and ephemeral ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import environment, handlers, mounts, resources, security

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = (
    "ports",
    "resources",
    *_PROBES,
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules of one container need of its pod: `volumes` are the good ones by name."""

    spec: View
    path: str
    volumes: dict[str, View]
    claims: frozenset[str]
    is_pod: bool

    @property
    def has_host_users(self) -> bool:
        """Whether the containers have the host's user namespace."""
        return self.spec.get("hostUsers") is not False


def validate_containers(around: Surroundings) -> list[Cause]:
    """Causes in `containers`."""
    spec, path = around.spec, f"{around.path}.containers"
    containers = spec.get("containers") or []
    if not containers:
        return [fields.required(path)]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{path}[{index}]"
        causes += _common(container, where, around)
        name = container.get("name") or ""
        if name in seen:
            causes.append(fields.duplicate(f"{where}.name", name))
        seen.add(name)
        causes += _life(container, where, around)
        causes += _restart_policy(container, where)
    return causes + _host_port_conflicts(containers, path)


def _life(container: View, path: str, around: Surroundings) -> list[Cause]:
    causes = handlers.validate_lifecycle(container, path, around.spec)
    grace = around.spec.get("terminationGracePeriodSeconds")
    return causes + handlers.validate_probes(container, path, grace)


def validate_init_containers(around: Surroundings) -> list[Cause]:
    """Causes in `initContainers`."""
    path = f"{around.path}.initContainers"
    seen = {row.get("name") or "" for row in around.spec.get("containers") or ()}
    causes: list[Cause] = []
    for index, container in enumerate(around.spec.get("initContainers") or ()):
        where = f"{path}[{index}]"
        causes += _common(container, where, around)
        causes += _restart_policy(container, where)
        name = container.get("name") or ""
        if name in seen:
            causes.append(fields.duplicate(f"{where}.name", name))
        elif name:
            seen.add(name)
        # Init containers run one after another: only their own ports can collide.
        causes += _host_port_conflicts([container], path)
        if container.get("restartPolicy") == "Always":
            causes += _life(container, where, around)
            continue
        detail = "may not be set for init containers without restartPolicy=Always"
        causes += [
            fields.forbidden(f"{where}.{key}", detail)
            for key in ("lifecycle", *_PROBES)
            if container.get(key) is not None
        ]
        for number, row in enumerate(container.get("resizePolicy") or ()):
            if row.get("restartPolicy") == "RestartContainer":
                place = f"{where}.resizePolicy[{number}].restartPolicy"
                detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                causes.append(fields.invalid(place, "RestartContainer", detail))
    return causes


def validate_ephemeral_containers(around: Surroundings) -> list[Cause]:
    """Causes in `ephemeralContainers`."""
    spec, path = around.spec, f"{around.path}.ephemeralContainers"
    others = {
        row.get("name") or ""
        for key in ("containers", "initContainers")
        for row in spec.get(key) or ()
    }
    seen = set(others)
    causes: list[Cause] = []
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{path}[{index}]"
        causes += _common(container, where, around)
        causes += validate_image(container, where)
        name, target = container.get("name") or "", container.get("targetContainerName") or ""
        if name in seen:
            causes.append(fields.duplicate(f"{where}.name", name))
        seen.add(name)
        if target and target not in others:
            causes.append(fields.not_found(f"{where}.targetContainerName", target))
        detail = "cannot be set for an Ephemeral Container"
        causes += [
            fields.forbidden(f"{where}.{key}", detail)
            for key in _NOT_EPHEMERAL
            if container.get(key) not in (None, {}, [], "")
        ]
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            for key in ("subPath", "subPathExpr"):
                if mount.get(key):
                    place = f"{where}.volumeMounts[{number}].{key}"
                    causes.append(fields.forbidden(place, detail))
    return causes


def validate_image(container: View, path: str) -> list[Cause]:
    """The rule of images that holds in pods but not in templates, where a blank one is a placeholder."""
    image = container.get("image") or ""
    if image != image.strip():
        detail = "must not have leading or trailing whitespace"
        return [fields.invalid(f"{path}.image", image, detail)]
    return []


def _common(container: View, path: str, around: Surroundings) -> list[Cause]:
    name = container.get("name") or ""
    causes: list[Cause] = []
    if not name:
        causes.append(fields.required(f"{path}.name"))
    else:
        causes += fields.each(f"{path}.name", name, names.dns_label(name))
    if not container.get("image"):
        causes.append(fields.required(f"{path}.image"))
    policy = container.get("terminationMessagePolicy")
    causes += fields.one_of(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    causes += _ports(container.get("ports"), f"{path}.ports")
    causes += environment.validate_env(container.get("env"), f"{path}.env")
    causes += environment.validate_env_from(container.get("envFrom"), f"{path}.envFrom")
    causes += mounts.validate_mounts(container, path, around.volumes)
    pull = container.get("imagePullPolicy")
    causes += fields.one_of(f"{path}.imagePullPolicy", pull, _PULL_POLICIES)
    wanted = container.get("resources") or {}
    causes += resources.validate_resources(wanted, f"{path}.resources", around.claims)
    causes += _resize_policy(container.get("resizePolicy"), f"{path}.resizePolicy", around)
    return causes + security.validate_context(
        container.get("securityContext"),
        f"{path}.securityContext",
        has_host_users=around.has_host_users,
    )


def _ports(rows: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        name = row.get("name")
        if name:
            problems = names.port_name(name)
            causes += fields.each(f"{where}.name", name, problems)
            if not problems and name in seen:
                causes.append(fields.duplicate(f"{where}.name", name))
            elif not problems:
                seen.add(name)
        if not row.get("containerPort"):
            causes.append(fields.required(f"{where}.containerPort"))
        else:
            causes += fields.port_number(f"{where}.containerPort", row["containerPort"])
        if row.get("hostPort"):
            causes += fields.port_number(f"{where}.hostPort", row["hostPort"])
        causes += fields.one_of(f"{where}.protocol", row.get("protocol"), _PROTOCOLS)
    return causes


def _host_port_conflicts(containers: list[View], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for number, row in enumerate(container.get("ports") or ()):
            port = row.get("hostPort")
            if not port:
                continue
            shown = f"{row.get('protocol') or ''}/{row.get('hostIP') or ''}/{port}"
            if shown in seen:
                where = f"{path}[{index}].ports[{number}].hostPort"
                causes.append(fields.duplicate(where, shown))
            seen.add(shown)
    return causes


def _resize_policy(rows: Any, path: str, around: Surroundings) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows or ()):
        name, policy = row.get("resourceName") or "", row.get("restartPolicy") or ""
        if name in seen:
            causes.append(fields.duplicate(f"{path}[{index}]", name))
        seen.add(name)
        causes += fields.one_of(path, name, ("cpu", "memory"))
        causes += fields.one_of(path, policy, ("NotRequired", "RestartContainer"))
        if around.spec.get("restartPolicy") == "Never" and policy != "NotRequired":
            detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            causes.append(fields.invalid(path, policy, detail))
    return causes


def _restart_policy(container: View, path: str) -> list[Cause]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    causes: list[Cause] = []
    if policy is None:
        if not rules:
            return []
        detail = "must specify restartPolicy when restart rules are used"
        causes.append(fields.required(f"{path}.restartPolicy", detail))
    else:
        causes += fields.enum(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    if len(rules) > 20:
        causes.append(fields.too_many(f"{path}.restartPolicyRules", len(rules), 20))
    for index, rule in enumerate(rules):
        where = f"{path}.restartPolicyRules[{index}]"
        actions = ("Restart", "RestartAllContainers")
        causes += fields.enum(f"{where}.action", rule.get("action") or "", actions)
        codes = rule.get("exitCodes")
        if codes is None:
            causes.append(fields.required(f"{where}.exitCodes", "must be specified"))
            continue
        operator, values = codes.get("operator") or "", codes.get("values") or []
        causes += fields.enum(f"{where}.exitCodes.operator", operator, ("In", "NotIn"))
        if len(values) > 255:
            causes.append(fields.too_many(f"{where}.exitCodes.values", len(values), 255))
    return causes
