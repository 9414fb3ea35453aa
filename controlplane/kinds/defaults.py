"""Default values per kind, as Kubernetes 1.32 fills them in before an object is stored.

Source: pkg/apis/*/v1/defaults.go. Without them `kubectl apply` and `diff` never settle, and
strategic merge cannot find list items whose key field (`protocol`) was left out.
`apply_defaults(obj)` changes the object in place, is idempotent, and never overrides what is set.
Values that need a running cluster (cluster IPs, node ports, service accounts) belong to admission
in the API server, except for the constants kept here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from controlplane.api import meta, quantity

Object = dict[str, Any]

DEFAULT_SERVICE_ACCOUNT = "default"
DEFAULT_SCHEDULER = "default-scheduler"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
NAMESPACE_FINALIZER = "kubernetes"
TOLERATION_SECONDS = 300

NODE_NOT_READY = "node.kubernetes.io/not-ready"
NODE_UNREACHABLE = "node.kubernetes.io/unreachable"


def default_tolerations(seconds: int = TOLERATION_SECONDS) -> list[Object]:
    """What the DefaultTolerationSeconds admission adds to pods: leave a lost node after a while."""
    return [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": seconds,
        }
        for key in (NODE_NOT_READY, NODE_UNREACHABLE)
    ]


def apply_defaults(obj: Object) -> None:
    """Fill in the defaults of the object's kind, in place; unknown kinds are left alone."""
    default = _BY_KIND.get((str(obj.get("apiVersion", "")), str(obj.get("kind", ""))))
    if default is not None:
        default(obj)


def _part(obj: Object, key: str) -> Object:
    """A dict field, made when missing or null."""
    value = obj.get(key)
    if not isinstance(value, dict):
        value = obj[key] = {}
    return value


def _set(obj: Object, key: str, value: Any) -> None:
    """Set when missing, null or empty text: Go cannot tell those apart."""
    if obj.get(key) is None or obj.get(key) == "":
        obj[key] = value


def pod_spec(spec: Object) -> None:
    """Defaults of a PodSpec, in pods and in templates."""
    _set(spec, "restartPolicy", "Always")
    _set(spec, "dnsPolicy", "ClusterFirst")
    _set(spec, "schedulerName", DEFAULT_SCHEDULER)
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


def _container(container: Object) -> None:
    _set(container, "terminationMessagePath", "/dev/termination-log")
    _set(container, "terminationMessagePolicy", "File")
    _set(container, "imagePullPolicy", _image_pull_policy(str(container.get("image") or "")))
    resources = container.get("resources")
    if resources is None:
        container["resources"] = resources = {}
    _resources(resources)
    for port in container.get("ports") or ():
        _set(port, "protocol", "TCP")
    for row in container.get("env") or ():
        reference = (row.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _set(reference, "apiVersion", "v1")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            _probe(container[key])
    lifecycle = container.get("lifecycle") or {}
    for hook in ("postStart", "preStop"):
        get = (lifecycle.get(hook) or {}).get("httpGet")
        if get is not None:
            _http_get(get)


def _resources(resources: Object) -> None:
    for part in ("limits", "requests"):
        rows: Object = resources.get(part) or {}
        for key, value in rows.items():
            if quantity.is_valid(value):
                rows[key] = quantity.canonical(value)
    # A limit without a request asks for as much.
    for key, value in (resources.get("limits") or {}).items():
        requests = resources.get("requests")
        if requests is None:
            requests = resources["requests"] = {}
        requests.setdefault(key, value)


def _http_get(get: Object) -> None:
    _set(get, "path", "/")
    _set(get, "scheme", "HTTP")


def _probe(probe: Object) -> None:
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


def _volume(volume: Object) -> None:
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


def _field_references(source: Object) -> None:
    for item in source.get("items") or ():
        if item.get("fieldRef") is not None:
            _set(item["fieldRef"], "apiVersion", "v1")


def _pod(obj: Object) -> None:
    spec = _part(obj, "spec")
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    pod_spec(spec)
    status = _part(obj, "status")
    _set(status, "phase", "Pending")


def _template(spec: Object) -> None:
    template = _part(spec, "template")
    # Upstream writes this null; it is left so, since clients compare.
    meta.ensure_metadata(template)
    pod_spec(_part(template, "spec"))


def _deployment(obj: Object) -> None:
    spec = _part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    strategy = _part(spec, "strategy")
    _set(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = _part(strategy, "rollingUpdate")
        for key in ("maxUnavailable", "maxSurge"):
            _set(rolling, key, "25%")
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    if spec.get("progressDeadlineSeconds") is None:
        spec["progressDeadlineSeconds"] = 600
    _template(spec)


def _replica_set(obj: Object) -> None:
    spec = _part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    _template(spec)


def _service(obj: Object) -> None:
    spec = _part(obj, "spec")
    _set(spec, "sessionAffinity", "None")
    _set(spec, "type", "ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif not meta.get_path(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in spec.get("ports") or ():
        _set(port, "protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer"):
        _set(spec, "externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if kind != "ExternalName":
        _set(spec, "internalTrafficPolicy", "Cluster")
        # Single-stack IPv4: what this cluster has, and what upstream fills in on one.
        _set(spec, "ipFamilyPolicy", "SingleStack")
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
    _part(_part(obj, "status"), "loadBalancer")


def _secret(obj: Object) -> None:
    _set(obj, "type", "Opaque")
    texts = obj.pop("stringData", None)
    if texts:
        data = _part(obj, "data")
        for key, value in texts.items():
            data[key] = base64.b64encode(str(value or "").encode()).decode()


def _namespace(obj: Object) -> None:
    meta.set_label(obj, NAMESPACE_NAME_LABEL, meta.name(obj))
    spec = _part(obj, "spec")
    if not meta.is_deleting(obj) and not spec.get("finalizers") and "status" not in obj:
        spec["finalizers"] = [NAMESPACE_FINALIZER]
    _set(_part(obj, "status"), "phase", "Active")


def _node(obj: Object) -> None:
    _part(obj, "spec")
    status = _part(obj, "status")
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            _set(port, "protocol", "TCP")


def _event(obj: Object) -> None:
    # Strict clients want both, even if empty.
    obj.setdefault("reportingComponent", "")
    obj.setdefault("reportingInstance", "")


_BY_KIND: dict[tuple[str, str], Callable[[Object], None]] = {
    ("v1", "Pod"): _pod,
    ("v1", "Service"): _service,
    ("v1", "Secret"): _secret,
    ("v1", "Namespace"): _namespace,
    ("v1", "Node"): _node,
    ("v1", "Endpoints"): _endpoints,
    ("v1", "Event"): _event,
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "ReplicaSet"): _replica_set,
}
