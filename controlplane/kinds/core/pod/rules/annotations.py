"""Rules of annotations that say something about a pod's security or priority."""

from __future__ import annotations

import re

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import paths
from controlplane.kinds.core.pod.rules.security import containers_of

_MIRROR = "kubernetes.io/config.mirror"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PLAIN_SECCOMP = ("runtime/default", "docker/default", "unconfined")


def validate_annotations(obj: Obj) -> list[Cause]:
    """Causes in a pod's annotations, whether it is new or not."""
    annotations, spec = meta.annotations(obj), meta.spec(obj)
    path = "metadata.annotations"
    causes: list[Cause] = []
    if _MIRROR in annotations and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        causes.append(fields.invalid(f"{path}[{_MIRROR}]", annotations[_MIRROR], detail))
    for key, value in annotations.items():
        if key == _SECCOMP_POD or key.startswith(_SECCOMP_CONTAINER):
            causes += _seccomp(value, f"{path}.{key}")
        elif key.startswith(_APP_ARMOR):
            causes += _app_armor(key, value, spec, f"{path}[{key}]")
    cost = annotations.get(_DELETION_COST)
    if cost is not None and not _is_cost(cost):
        causes.append(fields.invalid(f"{path}[{_DELETION_COST}]", cost, "must be a 32bit integer"))
    return causes


def _is_cost(text: str) -> bool:
    return bool(re.fullmatch(r"-?(0|[1-9][0-9]*)", text)) and -(2**31) <= int(text) < 2**31


def _seccomp(value: str, where: str) -> list[Cause]:
    if value in _PLAIN_SECCOMP:
        return []
    if value.startswith("localhost/"):
        return paths.descending(value.removeprefix("localhost/"), where)
    return [fields.invalid(where, value, "must be a valid seccomp profile")]


def _app_armor(key: str, value: str, spec: View, where: str) -> list[Cause]:
    causes = []
    name = key.removeprefix(_APP_ARMOR)
    if all(container.get("name") != name for container, _ in containers_of(spec, "spec")):
        causes.append(fields.invalid(where, name, "container not found"))
    if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
        detail = f'invalid AppArmor profile name: "{value}"'
        causes.append(fields.invalid(where, value, detail))
    return causes


def validate_annotations_on_create(obj: Obj) -> list[Cause]:
    """Profiles in annotations and in fields of a new pod say the same."""
    annotations, spec = meta.annotations(obj), meta.spec(obj)
    context: View = spec.get("securityContext") or {}
    causes = validate_annotations(obj)
    causes += _match(
        annotations.get(_SECCOMP_POD),
        context.get("seccompProfile"),
        "spec.securityContext.seccompProfile",
        "seccomp",
    )
    for container, where in containers_of(spec, "spec"):
        own: View = container.get("securityContext") or {}
        name = container.get("name")
        noted = annotations.get(f"{_SECCOMP_CONTAINER}{name}")
        place = f"{where}.securityContext.seccompProfile"
        causes += _match(noted, own.get("seccompProfile"), place, "seccomp")
        if (spec.get("os") or {}).get("name") != "windows":
            profile = own.get("appArmorProfile") or context.get("appArmorProfile")
            noted = annotations.get(f"{_APP_ARMOR}{name}")
            causes += _match(noted, profile, f"{where}.securityContext.appArmorProfile", "apparmor")
    return causes


def _match(noted: str | None, profile: View | None, where: str, word: str) -> list[Cause]:
    if noted is None or profile is None:
        return []
    kind = profile.get("type")
    is_same = True
    if kind == "Unconfined":
        is_same = noted == "unconfined"
    elif kind == "RuntimeDefault":
        is_same = noted == "runtime/default" or (word == "seccomp" and noted == "docker/default")
    elif kind == "Localhost":
        is_same = noted.startswith("localhost/")
        if is_same and noted.removeprefix("localhost/") != profile.get("localhostProfile"):
            detail = f"{word} profile in annotation and field must match"
            return [fields.forbidden(f"{where}.localhostProfile", detail)]
    if is_same:
        return []
    return [fields.forbidden(f"{where}.type", f"{word} type in annotation and field must match")]
