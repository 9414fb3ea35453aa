"""What quotas count of pods.

Pods that have ended count as objects only, and so do those that are past their grace: a lost node must not keep a
namespace full.

Source: pkg/quota/v1/evaluator/core/pods.go, pkg/quota/v1/install/update_filter.go.
"""

from __future__ import annotations

from collections.abc import Collection

from controlplane.api import meta, quantity, times
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.totals import charged, is_pod_level
from controlplane.kinds.core.pod.views import is_ended
from controlplane.kinds.core.quota.amounts import ONE, Amount, Amounts
from controlplane.kinds.core.quota.evaluator import CREATE, UPDATE, Evaluator, count_name
from controlplane.kinds.core.quota.scopes import is_terminating, matches_pod
from controlplane.kinds.core.resource_names import is_extended, is_huge_pages, is_native

_OBJECTS = count_name("pods")
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_NAMES = frozenset(
    (
        _OBJECTS,
        "pods",
        *_PLAIN,
        *(f"requests.{name}" for name in _PLAIN),
        *(f"limits.{name}" for name in _PLAIN),
    )
)
# Compat: who counts these asks of each container to say what it needs. Upstream calls it a mistake, and keeps it.
_TO_BE_SPECIFIED = frozenset(
    ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
)
_DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"


def _counts(name: str) -> bool:
    if name in _NAMES or name.startswith(("hugepages-", "requests.hugepages-")):
        return True
    if not name.startswith("requests."):
        return False
    return not is_native(name) or name.startswith(f"requests.{_DEVICE_CLASS}")


def _names_of(requests: Collection[str], limits: Collection[str]) -> dict[str, tuple[str, str]]:
    """Name in a quota -> (field, name in the pod) for what a pod or container says."""
    found: dict[str, tuple[str, str]] = {}
    for name in requests:
        row = ("requests", name)
        if name in _PLAIN or is_huge_pages(name):
            found[name] = found[f"requests.{name}"] = row
        elif is_extended(name) or name.startswith(_DEVICE_CLASS):
            found[f"requests.{name}"] = row
    for name in limits:
        if name in _PLAIN:
            found[f"limits.{name}"] = ("limits", name)
    return found


def counts_still(pod: Obj, now: float) -> bool:
    """Whether the pod uses more than its place among the objects."""
    if is_ended(pod):
        return False
    grace = meta.metadata(pod).get("deletionGracePeriodSeconds")
    if meta.is_deleting(pod) and grace is not None:
        return bool(now <= times.parse(meta.deletion_timestamp(pod)) + grace)
    return True


def _usage(pod: Obj, now: float) -> Amounts:
    if not counts_still(pod, now):
        return {_OBJECTS: ONE}
    sums = {"requests": charged(pod, "requests"), "limits": charged(pod, "limits")}
    usage = {_OBJECTS: ONE, "pods": ONE}
    for name, (field, of_pod) in _names_of(sums["requests"], sums["limits"]).items():
        usage[name] = Amount(sums[field][of_pod], _style(pod, field, of_pod))
    return usage


def _style(pod: Obj, field: str, name: str) -> str:
    """The family of suffixes that the pod uses: that of the first amount which is not zero."""
    spec = meta.spec(pod)
    whole = (spec.get("resources") or {}).get(field) or {}
    lists = [whole] if name in whole else []
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        lists.append((container.get("resources") or {}).get(field) or {})
    lists.append(spec.get("overhead") or {})
    for amounts in lists:
        value = amounts.get(name)
        if quantity.is_valid(value) and quantity.parse(value):
            return quantity.family(value)
    return "decimal"


def _missing(names: Collection[str], pod: Obj) -> str:
    spec = meta.spec(pod)
    whole = spec.get("resources") or {}
    said = (*(whole.get("requests") or ()), *(whole.get("limits") or ()))
    if any(is_pod_level(name) for name in said):
        return ""
    demanded = _TO_BE_SPECIFIED.intersection(names)
    silent: dict[str, set[str]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        own = container.get("resources") or {}
        for name in demanded.difference(
            _names_of(own.get("requests") or (), own.get("limits") or ())
        ):
            silent.setdefault(name, set()).add(container.get("name") or "")
    if not silent:
        return ""
    parts = [f"{name} for: {','.join(sorted(silent[name]))}" for name in sorted(silent)]
    return f"must specify {'; '.join(parts)}"


def _handles(operation: str, subresource: str, obj: Obj, old: Obj | None) -> bool:
    if subresource:
        return subresource == "resize" and operation == UPDATE
    if operation == UPDATE:
        return old is not None and is_terminating(old) != is_terminating(obj)
    return operation == CREATE


def _resources_had(pod: Obj) -> dict[str, object]:
    status = meta.status(pod)
    rows = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return {row.get("name", ""): row.get("resources") for row in rows}


def _frees(old: Obj, new: Obj, now: float) -> bool:
    before, after = _resources_had(old), _resources_had(new)
    return (
        any(name in after and after[name] != had for name, had in before.items())
        or is_terminating(old) != is_terminating(new)
        or (counts_still(old, now) and not counts_still(new, now))
    )


EVALUATOR = Evaluator(
    counts=_counts,
    usage=_usage,
    handles=_handles,
    missing=_missing,
    matches=matches_pod,
    frees_on_update=_frees,
)
