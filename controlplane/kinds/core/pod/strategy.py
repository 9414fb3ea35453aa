"""Pods: pending at first, deleted in two steps once they run somewhere.

Source: pkg/registry/core/pod/strategy.go, and the pod lifecycle page of the Kubernetes documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj, View
from controlplane.api.strategy import DeleteOptions, Strategy
from controlplane.kinds.core.pod.views import is_ended, qos_class

_DEFAULT_GRACE_SECONDS = 30
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class PodStrategy(Strategy):
    """The rules of pods."""

    has_generation = True
    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new pod is pending, whatever its creator says."""
        super().prepare_for_create(obj)
        spec = meta.spec(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
        drop_disabled(spec)
        if spec.get("schedulingGates"):
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
            rows: list[Obj] = []
            conditions.set(rows, condition, str(meta.metadata(obj).get("creationTimestamp") or ""))
            obj["status"]["conditions"] = rows
        _merge_label_keys(spec, meta.labels(obj))
        _app_armor_fields(obj)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """The status is not the business of a plain update."""
        super().prepare_for_update(obj, live)
        drop_disabled(meta.spec(obj))

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """The QoS class, and generations that were seen, stay when they are left out."""
        super().prepare_for_status_update(obj, live)
        status, old = obj.setdefault("status", {}), meta.status(live)
        if old.get("qosClass") and not status.get("qosClass"):
            status["qosClass"] = old["qosClass"]
        if old.get("observedGeneration") and not status.get("observedGeneration"):
            status["observedGeneration"] = old["observedGeneration"]
        seen = {
            row.get("type"): row.get("observedGeneration") for row in old.get("conditions") or ()
        }
        for row in status.get("conditions") or ():
            if not row.get("observedGeneration") and seen.get(row.get("type")):
                row["observedGeneration"] = seen[row.get("type")]

    def grace_seconds(self, live: Obj, options: DeleteOptions) -> int:
        """A pod that runs on a node is given its time; others go at once."""
        spec = meta.spec(live)
        if not spec.get("nodeName") or is_ended(live):
            return 0
        seconds = options.grace_seconds
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds")
        if seconds is None:
            seconds = _DEFAULT_GRACE_SECONDS
        return int(seconds) if seconds >= 0 else 1


def drop_disabled(spec: Obj) -> None:
    """Take away what is behind feature gates that are off by default, in place."""
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            for key in ("clusterTrustBundle", "podCertificate"):
                source.pop(key, None)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            if (container.get("lifecycle") or {}).pop("stopSignal", None) and not any(
                container["lifecycle"].values()
            ):
                del container["lifecycle"]
    spec.pop("schedulingGroup", None)


def _merge_label_keys(spec: Obj, labels: View) -> None:
    """Selectors of affinity and spreading get the pod's own values of the labels they name by key."""
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(kind) or {}
        terms = [row.get("podAffinityTerm") or {} for row in affinity.get(_PREFERRED) or ()]
        for term in [*terms, *(affinity.get(_REQUIRED) or ())]:
            _add_keys(term, term.get("matchLabelKeys"), "In", labels)
            _add_keys(term, term.get("mismatchLabelKeys"), "NotIn", labels)
    for row in spec.get("topologySpreadConstraints") or ():
        _add_keys(row, row.get("matchLabelKeys"), "In", labels)


def _add_keys(term: Obj, keys: Iterable[str] | None, operator: str, labels: View) -> None:
    selector = term.get("labelSelector")
    added = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for key in keys or ()
        if key in labels
    ]
    if selector is not None and added:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _app_armor_fields(obj: Obj) -> None:
    """Profiles in the annotations of old clients are copied to the fields that replaced them."""
    spec, annotations = meta.spec(obj), meta.annotations(obj)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            profile = _profile(annotations.get(f"{_APP_ARMOR}{container.get('name')}"))
            context = container.get("securityContext") or {}
            if profile and not context.get("appArmorProfile") and profile != of_pod:
                container["securityContext"] = {**context, "appArmorProfile": profile}


def _profile(noted: str | None) -> dict[str, Any] | None:
    if noted == "unconfined":
        return {"type": "Unconfined"}
    if noted == "runtime/default":
        return {"type": "RuntimeDefault"}
    local = (noted or "").removeprefix("localhost/")
    if noted is not None and noted.startswith("localhost/") and local and local == local.strip():
        return {"type": "Localhost", "localhostProfile": local}
    return None
