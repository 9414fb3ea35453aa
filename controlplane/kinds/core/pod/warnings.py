"""What is allowed in a pod or a pod template and likely not meant: texts of Warning headers.

Source: pkg/api/pod/warnings.go, pkg/api/node/util.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api import meta, names, quantity
from controlplane.api.meta import Obj, View
from controlplane.api.validation.addresses import address_warnings
from controlplane.kinds.core.node_selector import DEPRECATED_LABELS
from controlplane.kinds.core.pod.rules.security import containers_of

_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_BYTES = ("memory", "ephemeral-storage")


def pod_warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Warnings of a new pod; updates come from programs and get none."""
    if old is not None:
        return []
    problems = names.dns_label(meta.name(obj))
    warnings = []
    if problems:
        warnings.append(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising "
            f"behavior; a DNS label is recommended: [{' '.join(problems)}]"
        )
    return warnings + spec_warnings(meta.spec(obj), meta.metadata(obj), "")


def template_warnings(template: View | None, path: str) -> list[str]:
    """Warnings of a pod template, which stands at `path`."""
    template = template or {}
    return spec_warnings(template.get("spec") or {}, template.get("metadata") or {}, f"{path}.")


def is_new_spec(obj: Obj, old: Obj | None) -> bool:
    """Whether a write is worth a warning: of a new object, or of one whose generation it counts up."""
    return old is None or meta.generation(obj) != meta.generation(old)


def name_warning(obj: Obj, old: Obj | None) -> list[str]:
    """A new workload's name that is no DNS label makes odd names of pods and hosts."""
    problems = [] if old is not None else names.dns_label(meta.name(obj))
    if not problems:
        return []
    return [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising "
        f"behavior; a DNS label is recommended: [{' '.join(problems)}]"
    ]


def workload_warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Warnings of a workload by its name and by the template of its pods."""
    found = name_warning(obj, old)
    if is_new_spec(obj, old):
        found += template_warnings(meta.spec(obj).get("template"), "spec.template")
    return found


def spec_warnings(spec: View, metadata: View, prefix: str) -> list[str]:
    """Warnings of a PodSpec; `prefix` stands before `spec` and `metadata`."""
    path = f"{prefix}spec"
    annotations = metadata.get("annotations") or {}
    warnings = _of_labels(spec, path)
    warnings += [
        f"{prefix}metadata.annotations[{key}]: {text}"
        for key, text in _ANNOTATIONS.items()
        if key in annotations
    ]
    for index, volume in enumerate(spec.get("volumes") or ()):
        warnings += [
            # Compat: upstream spells one of them in another way than the field.
            f"{path}.volumes[{index}].{'storageOS' if key == 'storageos' else key}: {text}"
            for key, text in _VOLUMES.items()
            if volume.get(key) is not None
        ]
    warnings += _overlapping_files(spec)
    warnings += _of_lists(spec, path)
    warnings += _fractions(spec.get("overhead") or {}, f"{path}.overhead")
    noted = f"{prefix}metadata.annotations[{_SECCOMP_POD}]: {_SECCOMP}"
    has_profile = (spec.get("securityContext") or {}).get("seccompProfile") is not None
    warnings += [noted] if _SECCOMP_POD in annotations and not has_profile else []
    for container, where in containers_of(spec, path):
        warnings += _of_container(container, where, annotations, spec, prefix)
    warnings += _of_ports(spec, path)
    warnings += _of_affinity(spec, path)
    for index, text in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        warnings += address_warnings(f"{path}.dnsConfig.nameservers[{index}]", text)
    for index, row in enumerate(spec.get("hostAliases") or ()):
        warnings += address_warnings(f"{path}.hostAliases[{index}].ip", row.get("ip") or "")
    return warnings


def _of_labels(spec: View, path: str) -> list[str]:
    """Labels of nodes that have other names by now."""
    warnings = [
        f"{path}.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in DEPRECATED_LABELS
    ]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    for index, term in enumerate(terms):
        where = f"{path}.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{index}]"
        warnings += node_term_warnings(term, where)
    for index, row in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.affinity.nodeAffinity.{_PREFERRED}[{index}].preference"
        warnings += node_term_warnings(row.get("preference") or {}, where, checks_values=True)
    for index, row in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{path}.topologySpreadConstraints[{index}]", row.get("topologyKey") or ""
        if key in DEPRECATED_LABELS:
            warnings.append(f"{where}.topologyKey: {key} is {DEPRECATED_LABELS[key]}")
        if row.get("labelSelector") is None:
            warnings.append(f"{where}.labelSelector: {_NO_SELECTOR}")
    return warnings


def node_term_warnings(term: View, path: str, *, checks_values: bool = False) -> list[str]:
    """Warnings of a NodeSelectorTerm."""
    warnings: list[str] = []
    for index, row in enumerate(term.get("matchExpressions") or ()):
        where, key = f"{path}.matchExpressions[{index}]", row.get("key") or ""
        if key in DEPRECATED_LABELS:
            warnings.append(f"{where}.key: {key} is {DEPRECATED_LABELS[key]}")
        if checks_values:
            for number, value in enumerate(row.get("values") or ()):
                problems = names.label_value(value)
                warnings += [
                    f'{where}.values[{number}]: Invalid value: "{value}": {problem}'
                    for problem in problems
                ]
    return warnings


def _of_lists(spec: View, path: str) -> list[str]:
    warnings: list[str] = []
    for field, key, word in (
        ("hostAliases", "ip", "duplicate ip"),
        ("imagePullSecrets", "name", "duplicate name"),
    ):
        seen: set[str] = set()
        for index, row in enumerate(spec.get(field) or ()):
            value = row.get(key) or ""
            if value in seen:
                warnings.append(f'{path}.{field}[{index}].{key}: {word} "{value}"')
            seen.add(value)
    for index, row in enumerate(spec.get("imagePullSecrets") or ()):
        if not row.get("name"):
            warnings.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    return warnings


def _fractions(amounts: View, path: str) -> list[str]:
    return [
        f'{path}[{name}]: fractional byte value "{amounts[name]}" is invalid, must be an integer'
        for name in _BYTES
        if name in amounts
        and quantity.is_valid(amounts[name])
        and quantity.parse(amounts[name]).denominator != 1
    ]


def _of_container(
    container: View, path: str, annotations: View, spec: View, prefix: str
) -> list[str]:
    warnings = []
    context: View = container.get("securityContext") or {}
    key = f"{_SECCOMP_CONTAINER}{container.get('name')}"
    if key in annotations and context.get("seccompProfile") is None:
        warnings.append(f"{prefix}metadata.annotations[{key}]: {_SECCOMP}")
    key = f"{_APP_ARMOR}{container.get('name')}"
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    if prefix and key in annotations and not context.get("appArmorProfile") and not of_pod:
        text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
        warnings.append(f"{prefix}metadata.annotations[{key}]: {text}")
    resources = container.get("resources") or {}
    for name in _BYTES:
        for kind in ("limits", "requests"):
            amounts = resources.get(kind) or {}
            if name in amounts:
                only = {name: amounts[name]}
                warnings += _fractions(only, f"{path}.resources.{kind}")
    seen: set[str] = set()
    for index, row in enumerate(container.get("env") or ()):
        name, value = row.get("name") or "", row.get("value") or ""
        reference = f"$({name})"
        hides = row.get("valueFrom") is not None or value == reference or reference not in value
        if name in seen and hides:
            warnings.append(
                f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped '
                "when using apply"
            )
        seen.add(name)
    return warnings


def _of_ports(spec: View, path: str) -> list[str]:
    warnings: list[str] = []
    known: dict[tuple[object, object], list[tuple[str, View]]] = {}
    named: dict[str, str] = {}
    name_warnings = []
    for container, where in containers_of(spec, path):
        for index, port in enumerate(container.get("ports") or ()):
            place = f"{where}.ports[{index}]"
            if port.get("hostIP") and not port.get("hostPort"):
                warnings.append(f"{place}: hostIP set without hostPort: {_go_port(port)}")
            others = known.setdefault((port.get("containerPort"), port.get("protocol")), [])
            for other_place, other in others:
                word = _clash(port, other)
                if word:
                    warnings.append(f"{place}: {word} port definition with {other_place}")
            others.append((place, port))
            name = port.get("name")
            if name in named:
                name_warnings.append(
                    f'{place}: duplicate port name "{name}" with {named[name]}, services and probes '
                    f"that select ports by name will use {named[name]}"
                )
            elif name:
                named[name] = place
    return warnings + name_warnings


def _clash(port: View, other: View) -> str:
    mine, theirs = port.get("hostPort") or 0, other.get("hostPort") or 0
    my_ip, their_ip = port.get("hostIP") or "", other.get("hostIP") or ""
    if (mine, my_ip) == (theirs, their_ip):
        return "duplicate"
    if not mine or not theirs:
        return "overlapping"
    if mine == theirs and bool(my_ip) != bool(their_ip):
        return "dangerously ambiguous"
    return ""


def _go_port(port: View) -> str:
    """A port as Go prints a struct."""
    shown = {
        "Name": port.get("name") or "",
        "HostPort": port.get("hostPort") or 0,
        "ContainerPort": port.get("containerPort") or 0,
        "Protocol": port.get("protocol") or "",
        "HostIP": port.get("hostIP") or "",
    }
    return "{" + " ".join(f"{key}:{value}" for key, value in shown.items()) + "}"


def _of_affinity(spec: View, path: str) -> list[str]:
    warnings = []
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(kind) or {}
        where = f"{path}.affinity.{kind}"
        for index, term in enumerate(affinity.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                warnings.append(f"{where}.{_REQUIRED}[{index}].labelSelector: {_NO_SELECTOR}")
        for index, row in enumerate(affinity.get(_PREFERRED) or ()):
            if (row.get("podAffinityTerm") or {}).get("labelSelector") is None:
                place = f"{where}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector"
                warnings.append(f"{place}: {_NO_SELECTOR}")
    return warnings


def _overlapping_files(spec: View) -> list[str]:
    """Files of one volume that would overwrite each other."""
    warnings: list[str] = []
    for volume in spec.get("volumes") or ():
        name = volume.get("name") or ""
        for key, word, field in (
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ):
            source = volume.get(key) or {}
            shown = f'{word} "{source.get(field) or ""}"' if field else word
            rows = [(row.get("path") or "", "") for row in source.get("items") or ()]
            warnings += _overlaps(rows, f'volume "{name}" ({shown}): overlapping paths: ')
        projected: list[tuple[str, str]] = []
        for source in (volume.get("projected") or {}).get("sources") or ():
            if not source:
                warnings.append(f'volume "{name}" (Projected) has no sources provided')
            projected += _projected_files(source)
        warnings += _overlaps(projected, f'volume "{name}" (Projected): overlapping paths: ')
    return warnings


def _projected_files(source: View) -> list[tuple[str, str]]:
    for key, word in (("configMap", "ConfigMap"), ("secret", "Secret")):
        part = source.get(key)
        if part is not None and part.get("items"):
            shown = f'{word} "{part.get("name") or ""}"'
            return [(row.get("path") or "", shown) for row in part["items"]]
    items = (source.get("downwardAPI") or {}).get("items")
    if items:
        return [(row.get("path") or "", "DownwardAPI") for row in items]
    token = source.get("serviceAccountToken")
    return [(token.get("path") or "", "ServiceAccountToken")] if token is not None else []


def _overlaps(rows: Iterable[tuple[str, str]], start: str) -> list[str]:
    warnings = []
    seen: list[tuple[str, str]] = []
    for path, source in rows:
        path = path.rstrip("/")
        if path:
            warnings += [
                f"{start}{_shown(path, source)} with {_shown(*other)}"
                for other in seen
                if _collides(path, other[0])
            ]
        seen.append((path, source))
    return warnings


def _shown(path: str, source: str) -> str:
    return f'"{path}" ({source})' if source else f'"{path}"'


def _collides(path: str, other: str) -> bool:
    if not other:
        return False
    return path == other or path.startswith(other + "/") or other.startswith(path + "/")
