"""Rules of pods and PodSpecs, with upstream's messages; their parts stand in `rules/`.

Source: pkg/apis/core/validation/validation.go of Kubernetes 1.36 with its default feature gates.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape
from controlplane.api.validation.metadata import validate_labels
from controlplane.kinds.core.pod.rules import containers as container_rules
from controlplane.kinds.core.pod.rules import environment, resources, scheduling, security
from controlplane.kinds.core.pod.rules.annotations import validate_annotations_on_create
from controlplane.kinds.core.pod.rules.containers import Surroundings
from controlplane.kinds.core.pod.rules.volumes import validate_volumes

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_MAX_NAMESERVERS, _MAX_SEARCHES, _MAX_SEARCH_CHARS = 3, 32, 2048
_MAX_HOSTNAME = 64
_CLAIM = Shape(
    (
        ("Name", "name", ""),
        ("ResourceClaimName", "resourceClaimName", None),
        ("ResourceClaimTemplateName", "resourceClaimTemplateName", None),
    )
)


def validate_pod(obj: Obj) -> list[Cause]:
    """Causes for which a pod may not be created."""
    spec = meta.spec(obj)
    causes = validate_pod_anyway(obj)
    if spec.get("ephemeralContainers"):
        causes.append(fields.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        causes.append(fields.forbidden("spec.nodeName", detail))
    return causes + validate_annotations_on_create(obj)


def validate_pod_anyway(obj: Obj) -> list[Cause]:
    """Causes in a pod, whether it is new or not."""
    spec = meta.spec(obj)
    causes = validate_pod_spec(spec, "spec", meta.metadata(obj))
    if not spec.get("serviceAccountName"):
        detail = "must not be specified when serviceAccountName is not set"
        for index, volume in enumerate(spec.get("volumes") or ()):
            for number, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if source.get("serviceAccountToken") is not None:
                    where = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                    causes.append(fields.forbidden(where, detail))
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            causes += container_rules.validate_image(container, f"spec.{kind}[{index}]")
    return causes


def validate_pod_spec(spec: View, path: str, pod: View | None = None) -> list[Cause]:
    """Causes in a PodSpec; `pod` is the metadata of the pod, None when the spec is a template's."""
    causes = []
    if spec.get("terminationGracePeriodSeconds") is None:
        causes.append(fields.required(f"{path}.terminationGracePeriodSeconds"))
    found, volumes = validate_volumes(spec.get("volumes"), f"{path}.volumes", pod)
    causes += found
    claims = frozenset(row["name"] for row in spec.get("resourceClaims") or () if row.get("name"))
    causes += _resource_claims(spec, f"{path}.resourceClaims", pod)
    around = Surroundings(spec, path, volumes, claims, pod is not None)
    causes += container_rules.validate_containers(around)
    causes += container_rules.validate_init_containers(around)
    causes += container_rules.validate_ephemeral_containers(around)
    causes += resources.validate_pod_resources(spec, path, claims)
    causes += _host_network_ports(spec, path, is_pod=pod is not None)
    policy, dns = spec.get("restartPolicy"), spec.get("dnsPolicy")
    causes += fields.one_of(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    causes += fields.one_of(f"{path}.dnsPolicy", dns, _DNS_POLICIES)
    causes += validate_labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    causes += security.validate_pod_context(spec, path)
    causes += scheduling.validate_affinity(spec.get("affinity"), f"{path}.affinity")
    causes += _dns_config(spec.get("dnsConfig"), dns, f"{path}.dnsConfig")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        name = gate.get("conditionType") or ""
        where = f"{path}.readinessGates[{index}].conditionType"
        causes += fields.each(where, name, names.qualified_name(name))
    causes += scheduling.validate_gates(spec.get("schedulingGates"), f"{path}.schedulingGates")
    spread = spec.get("topologySpreadConstraints")
    causes += scheduling.validate_spread(spread, f"{path}.topologySpreadConstraints")
    causes += security.validate_host_process(spec, path)
    causes += security.validate_host_users(spec, path)
    causes += _hostname_override(spec, path)
    return causes + _names_and_numbers(spec, path)


def _names_and_numbers(spec: View, path: str) -> list[Cause]:
    causes = _names(spec, path, "serviceAccountName", "nodeName")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None:
        causes += fields.in_range(f"{path}.activeDeadlineSeconds", deadline, 1, 2**31 - 1)
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            causes += fields.each(f"{path}.{key}", spec[key], names.dns_label(spec[key]))
    causes += scheduling.validate_tolerations(spec.get("tolerations"), f"{path}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        where = f"{path}.hostAliases[{index}]"
        causes += addresses.legacy_address(f"{where}.ip", alias.get("ip") or "")
        for number, host in enumerate(alias.get("hostnames") or ()):
            problems = names.dns_subdomain(host)
            causes += fields.each(f"{where}.hostnames[{number}]", host, problems)
    causes += _names(spec, path, "priorityClassName")
    runtime = spec.get("runtimeClassName")
    if runtime is not None:
        problems = names.dns_subdomain(runtime)
        causes += fields.each(f"{path}.runtimeClassName", runtime, problems)
    preemption = spec.get("preemptionPolicy")
    if preemption is not None:
        where = f"{path}.preemptionPolicy"
        causes += fields.one_of(where, preemption, _PREEMPTION_POLICIES)
    if spec.get("overhead"):
        limits = {"limits": spec["overhead"]}
        causes += resources.validate_resources(limits, f"{path}.overhead", frozenset())
    causes += security.validate_os(spec, path)
    group = spec.get("schedulingGroup")
    if group is not None:
        name, where = group.get("podGroupName"), f"{path}.schedulingGroup.podGroupName"
        if name is None:
            causes.append(fields.invalid(where, None, "must specify one of: `podGroupName`"))
        else:
            causes += fields.each(where, name, names.dns_subdomain(name))
    return causes + environment.validate_file_volumes(spec, path)


def _names(spec: View, path: str, *keys: str) -> list[Cause]:
    return [
        cause
        for key in keys
        if spec.get(key)
        for cause in fields.each(f"{path}.{key}", spec[key], names.dns_subdomain(spec[key]))
    ]


def _resource_claims(spec: View, path: str, pod: View | None) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    is_mirror = MIRROR_ANNOTATION in ((pod or {}).get("annotations") or {})
    for index, row in enumerate(spec.get("resourceClaims") or ()):
        if is_mirror:
            causes.append(fields.forbidden("", "static pods do not support resource claims"))
            continue
        where, name = f"{path}[{index}]", row.get("name") or ""
        if not name:
            causes.append(fields.required(f"{where}.name"))
        elif name in seen:
            causes.append(fields.duplicate(f"{where}.name", name))
        else:
            causes += fields.each(f"{where}.name", name, names.dns_label(name))
            seen.add(name)
        keys = ("resourceClaimName", "resourceClaimTemplateName")
        chosen = [key for key in keys if row.get(key) is not None]
        detail = ""
        if len(chosen) > 1:
            detail = (
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )
        elif not chosen:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
        if detail:
            causes.append(fields.invalid(where, _CLAIM.of(row), detail))
        for key in chosen:
            causes += fields.each(f"{where}.{key}", row[key], names.dns_subdomain(row[key]))
    return causes


def _host_network_ports(spec: View, path: str, *, is_pod: bool) -> list[Cause]:
    if not spec.get("hostNetwork"):
        return []
    detail = "must match `containerPort` when `hostNetwork` is true"
    causes = []
    for index, container in enumerate(spec.get("containers") or ()):
        for number, row in enumerate(container.get("ports") or ()):
            port = row.get("hostPort") or 0
            # In a template the host's port is filled in when its pods are made.
            if (is_pod or port) and port != row.get("containerPort"):
                where = f"{path}.containers[{index}].ports[{number}].hostPort"
                causes.append(fields.invalid(where, port, detail))
    return causes


def _dns_config(config: View | None, policy: object, path: str) -> list[Cause]:
    servers = (config or {}).get("nameservers") or []
    if policy == "None":
        if config is None:
            return [fields.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not servers:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [fields.required(f"{path}.nameservers", detail)]
    if config is None:
        return []
    causes = []
    if len(servers) > _MAX_NAMESERVERS:
        detail = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        causes.append(fields.invalid(f"{path}.nameservers", servers, detail))
    for index, server in enumerate(servers):
        causes += addresses.legacy_address(f"{path}.nameservers[{index}]", server)
    searches = config.get("searches") or []
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        causes.append(fields.invalid(f"{path}.searches", searches, detail))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARS:
        detail = (
            f"must not have more than {_MAX_SEARCH_CHARS} characters (including spaces) in the "
            "search list"
        )
        causes.append(fields.invalid(f"{path}.searches", searches, detail))
    for index, search in enumerate(searches):
        if search != ".":
            text = search.removesuffix(".")
            causes += fields.each(f"{path}.searches[{index}]", text, names.dns_search(text))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            causes.append(fields.required(f"{path}.options[{index}]", "must not be empty"))
    return causes


def _hostname_override(spec: View, path: str) -> list[Cause]:
    name, where = spec.get("hostnameOverride"), f"{path}.hostnameOverride"
    if name is None:
        return []
    causes = []
    for key in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(key):
            causes.append(fields.forbidden(where, f"may not be specified when {key} is true"))
    if len(name) > _MAX_HOSTNAME:
        causes.append(fields.too_long(where, _MAX_HOSTNAME))
    return causes + fields.each(where, name, names.dns_subdomain(name))
