"""Defaults of pods and of PodSpecs, as upstream fills them in.

Sources: pkg/apis/core/v1/defaults.go, conversion.go (a negative grace period is 1) and the `+default` marks of
k8s.io/api/core/v1/types.go.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from controlplane.api import quantity
from controlplane.api.defaulting import part, set_missing
from controlplane.api.meta import Obj
from controlplane.kinds.core import persistent_volume_claim
from controlplane.kinds.core.pod.image_names import pull_policy
from controlplane.kinds.core.pod.rules.resources import HUGE_PAGES, aggregated

DEFAULT_SCHEDULER = "default-scheduler"
_MODE = 0o644
# Resources a pod as a whole can ask for.
_OF_PODS = ("cpu", "memory")
_VOLUME_DEFAULTS: dict[str, dict[str, Any]] = {
    "secret": {"defaultMode": _MODE},
    "configMap": {"defaultMode": _MODE},
    "downwardAPI": {"defaultMode": _MODE},
    "projected": {"defaultMode": _MODE},
    "hostPath": {"type": ""},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "fsType": "ext4",
        "kind": "Shared",
        "readOnly": False,
    },
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_pod(obj: Obj) -> None:
    """Defaults of a pod."""
    spec = part(obj, "spec")
    default_pod_spec(spec)
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            _requests_from_limits(container.get("resources") or {})
    _pod_resources(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for kind in ("containers", "initContainers"):
            for container in spec.get(kind) or ():
                for port in container.get("ports") or ():
                    if not port.get("hostPort"):
                        port["hostPort"] = port.get("containerPort") or 0
    set_missing(part(obj, "status"), "phase", "Pending")


def _requests_from_limits(resources: Obj) -> None:
    """A limit without a request asks for as much; in templates this waits until a pod is made."""
    for name, value in (resources.get("limits") or {}).items():
        part(resources, "requests").setdefault(name, value)


def _pod_resources(spec: Obj) -> None:
    """What the pod asks for as a whole follows from its containers, then from its limits."""
    resources = spec.get("resources")
    if not resources:
        return
    limits, requests = dict(resources.get("limits") or {}), dict(resources.get("requests") or {})
    if limits or requests:
        for name, total in aggregated(spec, "limits").items():
            if name.startswith(HUGE_PAGES) and name not in requests:
                limits.setdefault(name, _text(spec, "limits", name, total))
        if limits:
            resources["limits"] = limits
    if not limits:
        return
    for name, total in aggregated(spec, "requests").items():
        if name in _OF_PODS:
            requests.setdefault(name, _text(spec, "requests", name, total))
    for name, value in limits.items():
        if name in _OF_PODS or name.startswith(HUGE_PAGES):
            requests.setdefault(name, value)
    if requests:
        resources["requests"] = requests


def _text(spec: Obj, kind: str, name: str, total: Fraction) -> str:
    """A sum in the family of suffixes of its first part."""
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        value = ((container.get("resources") or {}).get(kind) or {}).get(name)
        if value is not None:
            return quantity.format(total, quantity.family(value))
    return quantity.format(total)


def default_pod_spec(spec: Obj) -> None:
    """Defaults of a PodSpec, in pods and in templates."""
    set_missing(spec, "restartPolicy", "Always")
    set_missing(spec, "dnsPolicy", "ClusterFirst")
    set_missing(spec, "schedulerName", DEFAULT_SCHEDULER)
    grace = spec.get("terminationGracePeriodSeconds")
    spec["terminationGracePeriodSeconds"] = 30 if grace is None else 1 if grace < 0 else grace
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    # The old name of the field is kept in step, since old clients read it.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)
    _canonical(spec.get("overhead"))
    _resources(spec.get("resources") or {})


def _container(container: Obj) -> None:
    set_missing(container, "terminationMessagePath", "/dev/termination-log")
    set_missing(container, "terminationMessagePolicy", "File")
    set_missing(container, "imagePullPolicy", pull_policy(str(container.get("image") or "")))
    if container.get("resources") is None:
        container["resources"] = {}
    _resources(container["resources"])
    for port in container.get("ports") or ():
        set_missing(port, "protocol", "TCP")
    for row in container.get("env") or ():
        source = row.get("valueFrom") or {}
        if source.get("fieldRef") is not None:
            set_missing(source["fieldRef"], "apiVersion", "v1")
        if source.get("fileKeyRef") is not None:
            source["fileKeyRef"].setdefault("optional", False)
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            _probe(container[key])
    for hook in ("postStart", "preStop"):
        get = ((container.get("lifecycle") or {}).get(hook) or {}).get("httpGet")
        if get is not None:
            _http_get(get)


def _resources(resources: Obj) -> None:
    for kind in ("limits", "requests"):
        _canonical(resources.get(kind))


def _canonical(amounts: Any) -> None:
    """Amounts of resources in their stored form: nothing finer than a thousandth, rounded up."""
    for name, value in (amounts or {}).items():
        if quantity.is_valid(value):
            amounts[name] = quantity.canonical_milli(value)


def _http_get(get: Obj) -> None:
    set_missing(get, "path", "/")
    set_missing(get, "scheme", "HTTP")


def _probe(probe: Obj) -> None:
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(key):
            probe[key] = value
    if probe.get("httpGet") is not None:
        _http_get(probe["httpGet"])
    if probe.get("grpc") is not None and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _volume(volume: Obj) -> None:
    if all(value is None for key, value in volume.items() if key != "name"):
        volume["emptyDir"] = {}
    for source, fields in _VOLUME_DEFAULTS.items():
        if volume.get(source) is None:
            continue
        for key, value in fields.items():
            # An empty text is a value of its own for pointers, and none for texts: only the latter have a default text.
            if volume[source].get(key) is None or (value and volume[source][key] == ""):
                volume[source][key] = value
    if volume.get("image") is not None:
        policy = pull_policy(str(volume["image"].get("reference") or ""))
        set_missing(volume["image"], "pullPolicy", policy)
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        persistent_volume_claim.default_spec(part(claim, "spec"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and token.get("expirationSeconds") is None:
            token["expirationSeconds"] = 3600
        _field_references(source.get("downwardAPI") or {})
    _field_references(volume.get("downwardAPI") or {})


def _field_references(source: Obj) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef") is not None:
            set_missing(item["fieldRef"], "apiVersion", "v1")
