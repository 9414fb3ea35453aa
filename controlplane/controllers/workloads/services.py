"""What a Service means for the Pods it selects: pure, but for the memory of trigger times.

Shared by the controllers of Endpoints and EndpointSlices.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from controlplane.api import conditions, meta
from controlplane.api.meta import Key, Obj
from controlplane.kinds.core.pod.ports import ports
from controlplane.kinds.core.pod.views import is_ended

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS = "service.kubernetes.io/headless"


def is_headless(service: Obj) -> bool:
    """Whether the Service has no address of its own."""
    return meta.spec(service).get("clusterIP") in (None, "", "None")


def selects(service: Obj, labels: dict[str, str]) -> bool:
    """Whether the Service's selector matches; one without selector selects nothing."""
    selector = meta.spec(service).get("selector")
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in selector.items())


def addresses_of(pod: Obj) -> list[str]:
    """The Pod's addresses, the first family first."""
    status = meta.status(pod)
    found = [str(entry.get("ip") or "") for entry in status.get("podIPs") or ()]
    return [ip for ip in found if ip] or ([status["podIP"]] if status.get("podIP") else [])


def address_type(ip: str) -> str:
    """`IPv4` or `IPv6`."""
    return f"IPv{ip_address(ip).version}"


def belongs(pod: Obj, *, with_terminating: bool) -> bool:
    """Whether the Pod is an endpoint at all: it has an address and has not ended."""
    if is_ended(pod) or not addresses_of(pod):
        return False
    return with_terminating or not meta.is_deleting(pod)


def find_port(pod: Obj, service_port: Obj) -> int | None:
    """The number of the Pod's port a Service's port leads to; None when it has none of that name."""
    target = service_port.get("targetPort")
    if target in (None, "", 0):
        return int(service_port["port"])
    if isinstance(target, int):
        return target
    protocol = service_port.get("protocol") or "TCP"
    for port in ports(meta.spec(pod)):
        if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
            return int(port["containerPort"])
    return None


def shows_hostname(pod: Obj, service: Obj) -> bool:
    """Whether the endpoint carries the Pod's hostname: it asks for one in this Service's domain."""
    spec = meta.spec(pod)
    return bool(spec.get("hostname")) and spec.get("subdomain") == meta.name(service)


def target_reference(pod: Obj) -> Obj:
    """What an endpoint says of the Pod behind it."""
    return {
        "kind": "Pod",
        "namespace": meta.namespace(pod),
        "name": meta.name(pod),
        "uid": meta.uid(pod),
    }


def matters_to_services(old: Obj | None, new: Obj | None) -> bool:
    """Whether a change of a Pod may change the endpoints of some Service."""
    if old is None or new is None:
        return True
    return _relevant(old) != _relevant(new)


def _relevant(pod: Obj) -> tuple[object, ...]:
    spec = meta.spec(pod)
    return (
        meta.labels(pod),
        meta.is_deleting(pod),
        is_ended(pod),
        conditions.is_true(pod, "Ready"),
        addresses_of(pod),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


class TriggerTimes:
    """When the change that leads to a write happened, as upstream's annotation tells it.

    The earliest time, of those not yet told, at which the Service was made or one of its Pods became ready or not.
    """

    def __init__(self) -> None:
        self._told: dict[Key, dict[str, str]] = {}

    def next(self, service: Obj, pods: Iterable[Obj]) -> str:
        """The time to write now, RFC 3339; empty when nothing new happened that has a time."""
        key = meta.key_of(service)
        before = self._told.get(key, {})
        now = {meta.uid(service): meta.creation_timestamp(service)}
        for pod in pods:
            ready = conditions.get(pod, "Ready")
            if ready is not None:
                now[meta.uid(pod)] = str(ready.get("lastTransitionTime") or "")
        self._told[key] = now
        fresh = [stamp for uid, stamp in now.items() if stamp and before.get(uid) != stamp]
        return min(fresh, default="")

    def forget(self, key: Key) -> None:
        """The Service is gone."""
        self._told.pop(key, None)


def with_trigger_time(annotations: dict[str, str], stamp: str) -> dict[str, str]:
    """The annotations with the time of the change, or without one if there is none to tell."""
    rest = {name: value for name, value in annotations.items() if name != TRIGGER_TIME}
    return {**rest, TRIGGER_TIME: stamp} if stamp else rest


def services_of(change_labels: Sequence[dict[str, str]], services: Iterable[Obj]) -> list[Key]:
    """The Services that select any of these sets of labels."""
    return [
        meta.key_of(service)
        for service in services
        if any(selects(service, labels) for labels in change_labels)
    ]
