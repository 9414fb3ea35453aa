"""Defaults of pods and of PodSpecs, as upstream fills them in (pkg/apis/core/v1/defaults.go)."""

from __future__ import annotations

from controlplane.api import quantity
from controlplane.api.defaulting import part, set_missing
from controlplane.api.meta import Obj

DEFAULT_SCHEDULER = "default-scheduler"


def default_pod(obj: Obj) -> None:
    """Defaults of a pod."""
    spec = part(obj, "spec")
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    default_pod_spec(spec)
    status = part(obj, "status")
    set_missing(status, "phase", "Pending")


def default_pod_spec(spec: Obj) -> None:
    """Defaults of a PodSpec, in pods and in templates."""
    set_missing(spec, "restartPolicy", "Always")
    set_missing(spec, "dnsPolicy", "ClusterFirst")
    set_missing(spec, "schedulerName", DEFAULT_SCHEDULER)
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    # The old name of the field is kept in step, since old clients read it.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in spec.get("initContainers") or ():
        _container(container)
    for container in spec.get("containers") or ():
        _container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort")
    for container in spec.get("ephemeralContainers") or ():
        _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for constraint in spec.get("topologySpreadConstraints") or ():
        constraint.setdefault("maxSkew", 1)


def _image_pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    last = image.rsplit("/", 1)[-1]
    tag = last.partition(":")[2] or "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def _container(container: Obj) -> None:
    set_missing(container, "terminationMessagePath", "/dev/termination-log")
    set_missing(container, "terminationMessagePolicy", "File")
    set_missing(container, "imagePullPolicy", _image_pull_policy(str(container.get("image") or "")))
    resources = container.get("resources")
    if resources is None:
        container["resources"] = resources = {}
    _resources(resources)
    for port in container.get("ports") or ():
        set_missing(port, "protocol", "TCP")
    for row in container.get("env") or ():
        reference = (row.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            set_missing(reference, "apiVersion", "v1")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            _probe(container[key])
    lifecycle = container.get("lifecycle") or {}
    for hook in ("postStart", "preStop"):
        get = (lifecycle.get(hook) or {}).get("httpGet")
        if get is not None:
            _http_get(get)


def _resources(resources: Obj) -> None:
    for kind in ("limits", "requests"):
        rows: Obj = resources.get(kind) or {}
        for key, value in rows.items():
            if quantity.is_valid(value):
                rows[key] = quantity.canonical(value)
    # A limit without a request asks for as much.
    for key, value in (resources.get("limits") or {}).items():
        requests = resources.get("requests")
        if requests is None:
            requests = resources["requests"] = {}
        requests.setdefault(key, value)


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
    sources = [key for key in volume if key != "name" and volume[key] is not None]
    if not sources:
        volume["emptyDir"] = {}
    for key in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(key) is not None and volume[key].get("defaultMode") is None:
            volume[key]["defaultMode"] = 0o644
    if volume.get("hostPath") is not None and volume["hostPath"].get("type") is None:
        volume["hostPath"]["type"] = ""
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and not token.get("expirationSeconds"):
            token["expirationSeconds"] = 3600
        _field_references(source.get("downwardAPI") or {})
    _field_references(volume.get("downwardAPI") or {})


def _field_references(source: Obj) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef") is not None:
            set_missing(item["fieldRef"], "apiVersion", "v1")
