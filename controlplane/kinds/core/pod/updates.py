"""What an update of a pod may change: images, deadlines, tolerations, gates; by subresources a little more."""

from __future__ import annotations

import copy
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import difference
from controlplane.kinds.core.pod.rules import containers as container_rules
from controlplane.kinds.core.pod.rules import scheduling
from controlplane.kinds.core.pod.rules.annotations import validate_annotations
from controlplane.kinds.core.pod.validation import validate_pod_anyway

_CHANGEABLE = ",".join(
    (
        "`spec.containers[*].image`",
        "`spec.initContainers[*].image`",
        "`spec.activeDeadlineSeconds`",
        "`spec.tolerations` (only additions to existing tolerations)",
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    )
)
_TERMS = "requiredDuringSchedulingIgnoredDuringExecution"


def validate_pod_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in an update of a pod, those of the pod itself among them."""
    fresh, before = meta.spec(new), meta.spec(old)
    causes = validate_pod_anyway(new) + validate_annotations(new)
    for key in ("containers", "initContainers"):
        rows = fresh.get(key) or []
        if len(rows) != len(before.get(key) or []):
            detail = "pod updates may not add or remove containers"
            return [*causes, fields.forbidden(f"spec.{key}", detail)]
        for index, container in enumerate(rows):
            where = f"spec.{key}[{index}]"
            if not container.get("image"):
                causes.append(fields.required(f"{where}.image"))
            causes += container_rules.validate_image(container, where)
    found, is_final = _deadline(fresh, before)
    causes += found
    if is_final:
        return causes
    causes += _tolerations(fresh.get("tolerations") or [], before.get("tolerations") or [])
    causes += _gates(fresh.get("schedulingGates") or [], before.get("schedulingGates") or [])
    wanted = _without_changeable(fresh, before)
    if before.get("schedulingGates"):
        causes += _of_gated(wanted, before)
    # Both are in normal form: what is empty there is not the same as what is absent.
    if wanted != before:
        shown = difference(dict(before), wanted)
        detail = f"pod updates may not change fields other than {_CHANGEABLE}\n{shown}"
        causes.append(fields.forbidden("spec", detail))
    return causes


def _deadline(fresh: View, before: View) -> tuple[list[Cause], bool]:
    """(causes, whether the rest is not looked at)."""
    where = "spec.activeDeadlineSeconds"
    seconds, old = fresh.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if seconds is None:
        if old is None:
            return [], False
        detail = "must not update from a positive integer to nil value"
        return [fields.invalid(where, None, detail)], False
    causes = fields.in_range(where, seconds, 0, 2**31 - 1)
    if not causes and old is not None and old < seconds:
        detail = "must be less than or equal to previous value"
        causes = [fields.invalid(where, seconds, detail)]
    return causes, bool(causes)


def _tolerations(new: list[Obj], old: list[Obj]) -> list[Cause]:
    def identity(row: Obj) -> Obj:
        return {key: value for key, value in row.items() if key != "tolerationSeconds"}

    kept = [identity(row) for row in new]
    if not all(any(is_same(identity(row), one) for one in kept) for row in old):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        return [fields.forbidden("spec.tolerations", detail)]
    return scheduling.validate_tolerations(new, "spec.tolerations")


def _gates(new: list[Obj], old: list[Obj]) -> list[Cause]:
    known = {row.get("name") for row in old}
    return [
        fields.forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{row.get('name') or ''}'",
        )
        for index, row in enumerate(new)
        if row.get("name") not in known
    ]


def _without_changeable(fresh: View, before: View) -> Obj:
    """The new spec with everything that may change put back to what it was."""
    wanted = copy.deepcopy(dict(fresh))
    for key in ("containers", "initContainers"):
        for row, old in zip(wanted.get(key) or (), before.get(key) or (), strict=True):
            _put_back(row, old, "image")
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _put_back(wanted, before, key)
    grace = before.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and wanted.get("terminationGracePeriodSeconds") == 1:
        wanted["terminationGracePeriodSeconds"] = grace
    return wanted


def _put_back(wanted: Obj, before: View, key: str) -> None:
    if key in before:
        wanted[key] = before[key]
    else:
        wanted.pop(key, None)


def _of_gated(wanted: Obj, before: View) -> list[Cause]:
    """A gated pod may still be narrowed to fewer nodes; `wanted` is made to agree in what may change."""
    causes: list[Cause] = []
    new, old = wanted.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(new.get(key) != value for key, value in old.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        causes.append(fields.invalid("spec.nodeSelector", new, detail))
    _put_back(wanted, before, "nodeSelector")
    affinity = dict(wanted.get("affinity") or {})
    old_affinity: View = before.get("affinity") or {}
    causes += _narrowed(affinity.get("nodeAffinity") or {}, old_affinity.get("nodeAffinity") or {})
    _put_back(affinity, old_affinity, "nodeAffinity")
    if affinity or "affinity" in before:
        wanted["affinity"] = affinity
    else:
        wanted.pop("affinity", None)
    return causes


def _narrowed(new: View, old: View) -> list[Cause]:
    old_terms = (old.get(_TERMS) or {}).get("nodeSelectorTerms") or []
    new_terms = (new.get(_TERMS) or {}).get("nodeSelectorTerms") or []
    where = f"spec.affinity.nodeAffinity.{_TERMS}.nodeSelectorTerms"
    if old_terms and len(old_terms) != len(new_terms):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [fields.invalid(where, new_terms, detail)]
    causes = []
    for index, term in enumerate(old_terms):
        if not _only_adds(new_terms[index], term):
            detail = "only additions are allowed (no mutations or deletions)"
            causes.append(fields.invalid(f"{where}[{index}]", new_terms[index], detail))
    return causes


def _only_adds(new: View, old: View) -> bool:
    parts = ("matchExpressions", "matchFields")
    if not any(old.get(part) for part in parts):
        # A term that matches nothing would match something.
        return not any(new.get(part) for part in parts)
    for part in parts:
        rows = old.get(part) or []
        if not is_same((new.get(part) or [])[: len(rows)], rows):
            return False
    return True


def validate_pod_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a write of a pod's status."""
    status, before = meta.status(new), meta.status(old)
    causes = validate_annotations(new)
    for index, row in enumerate(status.get("conditions") or ()):
        kind, where = row.get("type") or "", f"status.conditions[{index}]"
        if (row.get("observedGeneration") or 0) < 0:
            shown = row["observedGeneration"]
            detail = "must be a non-negative integer"
            causes.append(fields.invalid(f"{where}.observedGeneration", shown, detail))
        if kind not in ("PodScheduled", "Ready", "Initialized"):
            causes += fields.qualified(f"{where}.Type", kind)
    causes += _nominated(status, before, meta.spec(old))
    if (status.get("observedGeneration") or 0) < 0:
        detail = "must be a non-negative integer"
        shown = status["observedGeneration"]
        causes.append(fields.invalid("status.observedGeneration", shown, detail))
    if (status.get("qosClass") or "") != (before.get("qosClass") or ""):
        causes.append(fields.immutable("status.qosClass", status.get("qosClass") or ""))
    for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        causes += _transitions(key, status, before, meta.spec(old))
    return causes + _ips(status)


def _nominated(status: View, before: View, spec: View) -> list[Cause]:
    name, where = status.get("nominatedNodeName") or "", "status.nominatedNodeName"
    if not name or name == before.get("nominatedNodeName"):
        return []
    causes = fields.subdomain(where, name)
    if spec.get("nodeName"):
        detail = "may not be set on pods that are already bound to a node"
        causes.append(fields.forbidden(where, detail))
    return causes


def _transitions(key: str, status: View, before: View, spec: View) -> list[Cause]:
    """A container that has ended for good does not come back."""
    rows = {row.get("name"): row for row in status.get(key) or ()}
    causes = []
    for index, row in enumerate(before.get(key) or ()):
        ended = (row.get("state") or {}).get("terminated")
        fresh = rows.get(row.get("name"))
        if (
            ended is None
            or fresh is None
            or (fresh.get("state") or {}).get("terminated") is not None
        ):
            continue
        if not _may_restart(key, row.get("name"), ended.get("exitCode") or 0, spec):
            detail = "may not be transitioned to non-terminated state"
            causes.append(fields.forbidden(f"status.{key}[{index}].state", detail))
    return causes


def _may_restart(key: str, name: Any, code: int, spec: View) -> bool:
    if key == "ephemeralContainerStatuses":
        return False
    kind = "containers" if key == "containerStatuses" else "initContainers"
    container = next((row for row in spec.get(kind) or () if row.get("name") == name), None)
    if container is None:
        return False
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        is_in = code in (codes.get("values") or ())
        if is_in == (codes.get("operator") == "In"):
            return True
    policy = container.get("restartPolicy") or spec.get("restartPolicy")
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _ips(status: View) -> list[Cause]:
    causes: list[Cause] = []
    for key, single in (("podIPs", ""), ("hostIPs", "hostIP")):
        rows = [row.get("ip") or "" for row in status.get(key) or ()]
        if rows and single and status.get(single) != rows[0]:
            where = f"status.{key}[0].ip"
            causes.append(fields.invalid(where, rows[0], f"must be equal to `{single}`"))
        for index, text in enumerate(rows):
            causes += addresses.legacy_address(f"status.{key}[{index}]", text)
        families = [address.version for text in rows if (address := addresses.parse(text))]
        if len(rows) > 1 and len(set(families)) != len(rows):
            detail = "may specify no more than one IP for each IP family"
            causes.append(fields.invalid(f"status.{key}", status[key], detail))
    return causes
