"""How the cells of `kubectl get` are made: pure functions (object, now) -> text or number.

The words and their precedence are upstream's (pkg/printers/internalversion/printers.go): scripts
and people match on `CrashLoopBackOff`, `Init:0/1`, `1 (5s ago)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import meta, selectors, times

Object = dict[str, Any]
Cell = Callable[[Object, float], Any]
_NONE = "<none>"
_ROLE_PREFIX = "node-role.kubernetes.io/"


def name(obj: Object, now: float) -> str:
    """metadata.name."""
    return meta.name(obj)


def age(obj: Object, now: float) -> str:
    """Time since creation."""
    return times.age(meta.creation_timestamp(obj), now)


def field(path: str) -> Cell:
    """A cell with the text at a dotted path, empty when missing."""
    return lambda obj, now: str(meta.get_path(obj, path, ""))


def number(path: str) -> Cell:
    """A cell with the number at a dotted path, 0 when missing."""
    return lambda obj, now: int(meta.get_path(obj, path, 0))


def phase(obj: Object, now: float) -> str:
    """status.phase."""
    return str(meta.status(obj).get("phase") or "")


# Workloads


def _template_containers(obj: Object) -> list[Object]:
    return meta.get_path(obj, "spec.template.spec.containers", []) or []


def container_names(obj: Object, now: float) -> str:
    """Names of the template's containers."""
    return ",".join(str(c.get("name", "")) for c in _template_containers(obj))


def container_images(obj: Object, now: float) -> str:
    """Images of the template's containers."""
    return ",".join(str(c.get("image", "")) for c in _template_containers(obj))


def selector(obj: Object, now: float) -> str:
    """spec.selector in the query form."""
    found = meta.spec(obj).get("selector")
    if not found:
        return _NONE
    try:
        return str(selectors.LabelSelector.from_object(found)) or _NONE
    except ValueError:
        return "<error>"


def deployment_ready(obj: Object, now: float) -> str:
    """Ready of wanted."""
    ready = meta.status(obj).get("readyReplicas") or 0
    return f"{ready}/{meta.spec(obj).get('replicas') or 0}"


# Pods


def _restartable_init(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def pod_ready(obj: Object, now: float) -> str:
    """Ready containers of all, sidecars counted in."""
    spec, status = meta.spec(obj), meta.status(obj)
    sidecars = {c["name"] for c in spec.get("initContainers") or () if _restartable_init(c)}
    total = len(spec.get("containers") or ()) + len(sidecars)
    ready = sum(
        1
        for row in status.get("containerStatuses") or ()
        if row.get("ready") and "running" in (row.get("state") or {})
    )
    ready += sum(
        1
        for row in status.get("initContainerStatuses") or ()
        if row.get("name") in sidecars and row.get("started") and row.get("ready")
    )
    return f"{ready}/{total}"


def _terminated_text(terminated: Object, prefix: str = "") -> str:
    if terminated.get("reason"):
        return prefix + str(terminated["reason"])
    if terminated.get("signal"):
        return f"{prefix}Signal:{terminated['signal']}"
    return f"{prefix}ExitCode:{terminated.get('exitCode', 0)}"


def _init_status(spec: Object, status: Object) -> str | None:
    """The status while init containers run; None once they are all done."""
    rows = spec.get("initContainers") or []
    by_name = {row.get("name"): row for row in rows}
    for index, row in enumerate(status.get("initContainerStatuses") or ()):
        state = row.get("state") or {}
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if _restartable_init(by_name.get(row.get("name"), {})) and row.get("started"):
            continue
        if terminated is not None:
            return _terminated_text(terminated, "Init:")
        waiting = state.get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(rows)}"
    return None


def _container_status(reason: str, status: Object) -> str:
    has_running = False
    # The first container's word wins, so the last is looked at first.
    for row in reversed(status.get("containerStatuses") or []):
        state = row.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = str(waiting["reason"])
        elif terminated is not None:
            reason = _terminated_text(terminated)
        elif row.get("ready") and "running" in state:
            has_running = True
    if reason == "Completed" and has_running:
        ready = any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        )
        reason = "Running" if ready else "NotReady"
    return reason


def pod_status(obj: Object, now: float) -> str:
    """One word for the pod's state: the phase, unless something more telling is known."""
    spec, status = meta.spec(obj), meta.status(obj)
    reason = str(status.get("reason") or status.get("phase") or "Pending")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    init = _init_status(spec, status)
    initialized = any(
        c.get("type") == "Initialized" and c.get("status") == "True"
        for c in status.get("conditions") or ()
    )
    if init is not None:
        reason = init
    if init is None or initialized:
        reason = _container_status(reason, status)
    if meta.is_deleting(obj):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def pod_restarts(obj: Object, now: float) -> str:
    """How often containers were restarted and when last: `3 (5m ago)`."""
    spec, status = meta.spec(obj), meta.status(obj)
    sidecars = {c["name"] for c in spec.get("initContainers") or () if _restartable_init(c)}
    initializing = _init_status(spec, status) is not None
    rows = list(status.get("initContainerStatuses") or ())
    if not initializing:
        rows = [row for row in rows if row.get("name") in sidecars]
        rows += status.get("containerStatuses") or ()
    count, last = 0, None
    for row in rows:
        count += int(row.get("restartCount") or 0)
        finished = times.parse_or_none(meta.get_path(row, "lastState.terminated.finishedAt", None))
        if finished is not None and (last is None or finished > last):
            last = finished
    if count == 0 or last is None:
        return str(count)
    return f"{count} ({times.human_duration(now - last)} ago)"


def pod_ip(obj: Object, now: float) -> str:
    """status.podIP."""
    ips = meta.status(obj).get("podIPs") or []
    found = ips[0].get("ip") if ips else meta.status(obj).get("podIP")
    return str(found or _NONE)


def pod_node(obj: Object, now: float) -> str:
    """spec.nodeName."""
    return str(meta.spec(obj).get("nodeName") or _NONE)


def pod_nominated(obj: Object, now: float) -> str:
    """status.nominatedNodeName."""
    return str(meta.status(obj).get("nominatedNodeName") or _NONE)


def pod_gates(obj: Object, now: float) -> str:
    """Readiness gates passed, of all."""
    gates = meta.spec(obj).get("readinessGates") or []
    if not gates:
        return _NONE
    true = {
        c.get("type") for c in meta.status(obj).get("conditions") or () if c.get("status") == "True"
    }
    return f"{sum(1 for gate in gates if gate.get('conditionType') in true)}/{len(gates)}"


# Nodes


def node_status(obj: Object, now: float) -> str:
    """Ready, NotReady or Unknown, and SchedulingDisabled when cordoned."""
    words = ["Unknown"]
    for condition in meta.status(obj).get("conditions") or ():
        if condition.get("type") == "Ready":
            words = ["Ready" if condition.get("status") == "True" else "NotReady"]
    if meta.spec(obj).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def node_roles(obj: Object, now: float) -> str:
    """Roles from labels, sorted."""
    roles = set()
    for key, value in meta.labels(obj).items():
        if key.startswith(_ROLE_PREFIX) and len(key) > len(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles)) or _NONE


def node_version(obj: Object, now: float) -> str:
    """status.nodeInfo.kubeletVersion."""
    return str(meta.get_path(obj, "status.nodeInfo.kubeletVersion", ""))


def _node_address(obj: Object, kind: str) -> str:
    for address in meta.status(obj).get("addresses") or ():
        if address.get("type") == kind:
            return str(address.get("address"))
    return _NONE


def node_internal_ip(obj: Object, now: float) -> str:
    """The InternalIP address."""
    return _node_address(obj, "InternalIP")


def node_external_ip(obj: Object, now: float) -> str:
    """The ExternalIP address."""
    return _node_address(obj, "ExternalIP")


def node_info(key: str) -> Cell:
    """A cell with a field of status.nodeInfo."""
    return lambda obj, now: str(meta.get_path(obj, "status.nodeInfo." + key) or "<unknown>")


# Events


def event_last_seen(obj: Object, now: float) -> str:
    """When the event was seen last, from whichever field holds it."""
    series = obj.get("series") or {}
    stamp = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    return times.age(stamp, now)


def event_first_seen(obj: Object, now: float) -> str:
    """When the event was seen first."""
    return times.age(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def event_object(obj: Object, now: float) -> str:
    """`pod/name` of the object it is about."""
    about = obj.get("involvedObject") or {}
    kind = str(about.get("kind") or "").lower()
    return f"{kind}/{about.get('name')}" if about.get("name") else kind


def event_source(obj: Object, now: float) -> str:
    """Component and host that reported it."""
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host")
    return f"{component}, {host}" if host else str(component)


def event_message(obj: Object, now: float) -> str:
    """The message without outer white space."""
    return str(obj.get("message") or "").strip()


def event_count(obj: Object, now: float) -> int:
    """How often it was seen."""
    series = obj.get("series") or {}
    return int(series.get("count") or obj.get("count") or 1)


# Configuration and services


def config_map_data(obj: Object, now: float) -> int:
    """Number of keys, text and binary."""
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


def secret_data(obj: Object, now: float) -> int:
    """Number of keys."""
    return len(obj.get("data") or ())


def secret_count(obj: Object, now: float) -> int:
    """Number of secrets a service account names."""
    return len(obj.get("secrets") or ())


def service_cluster_ip(obj: Object, now: float) -> str:
    """spec.clusterIP."""
    spec = meta.spec(obj)
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return str(addresses[0] or _NONE)


def service_external_ip(obj: Object, now: float) -> str:
    """Addresses by which the service is reached from outside."""
    spec = meta.spec(obj)
    external = spec.get("externalIPs") or []
    kind = spec.get("type")
    if kind == "ExternalName":
        return str(spec.get("externalName") or "")
    if kind == "LoadBalancer":
        rows = meta.get_path(obj, "status.loadBalancer.ingress", []) or []
        shown = [str(row.get("ip") or row.get("hostname")) for row in rows] + external
        return ",".join(shown) if shown else "<pending>"
    return ",".join(external) if external else _NONE


def service_ports(obj: Object, now: float) -> str:
    """`80:30080/TCP,443/TCP`."""
    shown = []
    for port in meta.spec(obj).get("ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or _NONE


def service_selector(obj: Object, now: float) -> str:
    """The selector map in the query form."""
    rows = meta.spec(obj).get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(rows.items())) or _NONE


def endpoints(obj: Object, now: float) -> str:
    """The first three addresses with ports, and how many more there are."""
    shown = []
    for subset in obj.get("subsets") or ():
        ports = [port.get("port") for port in subset.get("ports") or ()]
        for address in subset.get("addresses") or ():
            shown += [f"{address.get('ip')}:{port}" for port in ports] or [address.get("ip")]
    if not shown:
        return _NONE
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more
