"""StatefulSets: pods with names, order and storage of their own.

Sources: pkg/apis/apps/validation/validation.go, pkg/apis/apps/v1/defaults.go, pkg/registry/apps/statefulset.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Pointer, Shape
from controlplane.api.validation.metadata import validate_annotations, validate_labels
from controlplane.kinds.core import persistent_volume_claim as claims
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import is_new_spec, template_warnings

STATEFUL_SETS = Resource(
    "apps",
    "v1",
    "StatefulSet",
    "statefulsets",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)

_ROLLING = Shape((("Partition", "partition", 0), ("MaxUnavailable", "maxUnavailable", None)))
_STRATEGY = Shape((("Type", "type", ""), ("RollingUpdate", "rollingUpdate", Pointer(_ROLLING))))
_POLICIES = ("Retain", "Delete")
_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_FORBIDDEN_UPDATE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
    "'minReadySeconds' are forbidden"
)
_COUNTS = (
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "observedGeneration",
    "collisionCount",
)
_ABOVE = "cannot be greater than status."


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    set_missing(spec, "podManagementPolicy", "OrderedReady")
    strategy = part(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        part(strategy, "rollingUpdate")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and rolling is not None:
        set_missing(rolling, "partition", 0)
    policy = part(spec, "persistentVolumeClaimRetentionPolicy")
    set_missing(policy, "whenDeleted", "Retain")
    set_missing(policy, "whenScaled", "Retain")
    set_missing(spec, "replicas", 1)
    set_missing(spec, "revisionHistoryLimit", 10)
    workload.default_template(spec)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        claims.default(claim)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new StatefulSet."""
    return _spec(meta.spec(obj), is_update=False, checks_template=True)


def _spec(spec: Obj, *, is_update: bool, checks_template: bool) -> list[Cause]:
    causes: list[Cause] = []
    policy = spec.get("podManagementPolicy")
    if policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        causes.append(fields.invalid("spec.podManagementPolicy", policy, detail))
    causes += _update_strategy(spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        if retention.get(key) not in _POLICIES:
            path = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            causes.append(fields.not_supported(path, retention.get(key) or "", _POLICIES))
    if not is_update:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            path = f"spec.volumeClaimTemplates[{index}].spec"
            causes += claims.validate_spec(meta.spec(claim), path)
    causes += amounts.all_non_negative("spec", spec, ("replicas", "minReadySeconds"))
    causes += amounts.all_non_negative("spec.ordinals", spec.get("ordinals") or {}, ("start",))
    service = spec.get("serviceName")
    if service and not is_update:
        causes += fields.each("spec.serviceName", service, names.dns_label(service))
    return causes + _selector_and_template(spec, checks_template)


def _update_strategy(strategy: Obj) -> list[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    path = "spec.updateStrategy"
    if kind == "OnDelete":
        if rolling is None:
            return []
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        return [fields.invalid(f"{path}.rollingUpdate", _ROLLING.of(rolling), detail)]
    if kind != "RollingUpdate":
        detail = "must be 'RollingUpdate' or 'OnDelete'"
        return [fields.invalid(path, _STRATEGY.of(strategy), detail)]
    causes = amounts.all_non_negative(f"{path}.rollingUpdate", rolling or {}, ("partition",))
    limit = (rolling or {}).get("maxUnavailable")
    if limit is not None:
        where = f"{path}.rollingUpdate.maxUnavailable"
        causes += amounts.int_or_percent(where, limit)
        if amounts.number_of(limit) == 0:
            causes.append(fields.invalid(where, limit, "cannot be 0"))
        causes += amounts.at_most_100_percent(where, limit)
    return causes


def _selector_and_template(spec: Obj, checks_template: bool) -> list[Cause]:
    causes: list[Cause] = []
    given, path = spec.get("selector"), "spec.template"
    if given is None:
        causes.append(fields.required("spec.selector"))
    else:
        causes += selector.validate_selector(given, "spec.selector")
        if selector.is_empty(given):
            detail = "empty selector is invalid for statefulset"
            causes.append(fields.invalid("spec.selector", selector.shown(given), detail))
    template = spec.get("template") or {}
    if given is not None and selector.problem_of(given):
        causes.append(
            Cause("spec.selector", f"Invalid value: {fields.show(selector.shown(given))}")
        )
    else:
        labels = workload.template_labels(template)
        is_nothing_selected = given is None or not selector.is_empty(given)
        if is_nothing_selected and not selector.selects(given, labels):
            shown = workload.shown_labels(template)
            causes.append(fields.invalid(f"{path}.metadata.labels", shown, workload.NO_MATCH))
        if checks_template:
            causes += workload.validate_template(_as_made(spec, template), path)
        causes += validate_labels(f"{path}.labels", labels)
        causes += validate_annotations(f"{path}.annotations", meta.annotations(template))
    return causes + workload.validate_always_restarts(template, path, "StatefulSet")


def _as_made(spec: Obj, template: Obj) -> Obj:
    """The template as the controller makes pods of it: with volumes for the claims, without names of its own."""
    claimed = spec.get("volumeClaimTemplates") or []
    pod = dict(meta.spec(template))
    pod.pop("subdomain", None)
    pod.pop("hostname", None)
    if claimed:
        made = {
            meta.name(claim): {
                "name": meta.name(claim),
                "persistentVolumeClaim": {"claimName": meta.name(claim)},
            }
            for claim in claimed
        }
        own = [row for row in pod.get("volumes") or () if row.get("name") not in made]
        pod["volumes"] = [*made.values(), *own]
    return {**template, "spec": pod}


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed StatefulSet: most of the spec stays as it was made."""
    was_good = not _spec(meta.spec(old), is_update=True, checks_template=True)
    causes = _spec(meta.spec(new), is_update=True, checks_template=was_good)
    if not is_same(_fixed(meta.spec(new)), _fixed(meta.spec(old))):
        causes.append(fields.forbidden("spec", _FORBIDDEN_UPDATE))
    return causes


def _fixed(spec: Obj) -> Obj:
    return {key: value for key, value in spec.items() if key not in _MUTABLE and value}


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a StatefulSet's status."""
    status = meta.status(new)
    causes = amounts.all_non_negative("status", status, _COUNTS)
    keys = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    causes += amounts.not_above("status", status, keys, "replicas", f"{_ABOVE}replicas")
    causes += amounts.not_above(
        "status", status, ("availableReplicas",), "readyReplicas", f"{_ABOVE}readyReplicas"
    )
    return causes + amounts.not_decremented("status", status, meta.status(old))


def _ready(obj: Obj, now: float) -> str:
    ready = meta.status(obj).get("readyReplicas") or 0
    return f"{ready}/{meta.spec(obj).get('replicas') or 0}"


COLUMNS = (
    NAME,
    text("Ready", _ready, "Ready pods, of those wanted."),
    AGE,
    workload.CONTAINERS,
    workload.IMAGES,
)


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant."""
    spec = meta.spec(obj)
    # Compat: upstream writes the path of a changed claim template with a capital.
    name = "spec" if old is None else "Spec"
    found: list[str] = []
    if is_new_spec(obj, old):
        found += template_warnings(spec.get("template"), "spec.template")
    found += [
        warning
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ())
        for warning in claims.spec_warnings(
            meta.spec(claim), f"spec.volumeClaimTemplates[{index}].{name}"
        )
    ]
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        found.append(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
            "a value >= 0 is recommended"
        )
    return found


class StatefulSetStrategy(SpecStrategy):
    """The rules of StatefulSets."""

    def prepare_for_create(self, obj: Obj) -> None:
        """A new one has no pods; maxUnavailable is behind a gate that is off."""
        super().prepare_for_create(obj)
        obj["status"] = {"replicas": 0, "availableReplicas": 0}
        self._drop_gated(obj, {})

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Keep maxUnavailable only where it is stored already."""
        super().prepare_for_update(obj, live)
        self._drop_gated(obj, live)

    @staticmethod
    def _drop_gated(obj: Obj, live: Obj) -> None:
        path = "spec.updateStrategy.rollingUpdate.maxUnavailable"
        rolling = meta.get_path(obj, "spec.updateStrategy.rollingUpdate")
        if isinstance(rolling, dict) and meta.get_path(live, path) is None:
            rolling.pop("maxUnavailable", None)


KIND = Kind(
    STATEFUL_SETS,
    strategy=StatefulSetStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    validate_name=names.dns_label,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
