"""DaemonSets: one pod on every node that fits.

Sources: pkg/apis/apps/validation/validation.go, pkg/apis/apps/v1/{defaults,conversion}.go, pkg/registry/apps/daemonset.
The number of a template that extensions/v1beta1 had in spec.templateGeneration stands in an annotation today.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import integer, text
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Pointer, Shape
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import template_warnings

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"

DAEMON_SETS = Resource(
    "apps",
    "v1",
    "DaemonSet",
    "daemonsets",
    short_names=("ds",),
    categories=("all",),
    subresources=(STATUS,),
)

_ROLLING = Shape((("MaxUnavailable", "maxUnavailable", 0), ("MaxSurge", "maxSurge", 0)))
_STRATEGY = Shape((("Type", "type", ""), ("RollingUpdate", "rollingUpdate", Pointer(_ROLLING))))
_REQUIRED_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
)
_COUNTS = (
    *_REQUIRED_COUNTS,
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    strategy = part(spec, "updateStrategy")
    set_missing(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = part(strategy, "rollingUpdate")
        for key, value in (("maxUnavailable", 1), ("maxSurge", 0)):
            if rolling.get(key) is None:
                rolling[key] = value
    set_missing(spec, "revisionHistoryLimit", 10)
    workload.default_template(spec)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a DaemonSet."""
    spec, path = meta.spec(obj), "spec.template"
    given, template = spec.get("selector"), spec.get("template") or {}
    causes = selector.validate_selector(given, "spec.selector")
    labels = workload.template_labels(template)
    if not selector.problem_of(given) and not selector.selects(given, labels):
        shown = workload.shown_labels(template)
        causes.append(fields.invalid(f"{path}.metadata.labels", shown, workload.NO_MATCH))
    if given is not None and selector.is_empty(given):
        detail = "empty selector is invalid for daemonset"
        causes.append(fields.invalid("spec.selector", selector.shown(given), detail))
    causes += workload.validate_template(template, path)
    causes += workload.validate_always_restarts(template, path, "DaemonSet")
    causes += fields.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    causes += fields.non_negative("spec.templateGeneration", template_generation(obj))
    causes += _update_strategy(spec.get("updateStrategy") or {})
    causes += fields.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    return causes


def _update_strategy(strategy: Obj) -> list[Cause]:
    path, rolling = "spec.updateStrategy", strategy.get("rollingUpdate")
    if strategy.get("type") == "OnDelete":
        return []
    if strategy.get("type") != "RollingUpdate":
        known = ("RollingUpdate", "OnDelete")
        return [fields.not_supported(path, _STRATEGY.of(strategy), known)]
    if rolling is None:
        return [fields.required(f"{path}.rollingUpdate")]
    keys = ("maxUnavailable", "maxSurge")
    where = {key: f"{path}.rollingUpdate.{key}" for key in keys}
    causes = [c for key in keys for c in amounts.int_or_percent(where[key], rolling.get(key))]
    for key in keys:
        causes += amounts.at_most_100_percent(where[key], rolling.get(key))
    unavailable, surge = (amounts.number_of(rolling.get(key)) for key in keys)
    if unavailable and surge:
        detail = "may not be set when maxUnavailable is non-zero"
        causes.append(fields.invalid(where["maxSurge"], rolling.get("maxSurge"), detail))
    elif not unavailable and not surge:
        causes.append(fields.required(where["maxUnavailable"], "cannot be 0 when maxSurge is 0"))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in what a change may not change."""
    given = meta.spec(new).get("selector")
    causes: list[Cause] = []
    if not is_same(given, meta.spec(old).get("selector")):
        causes.append(fields.immutable("spec.selector", selector.shown(given)))
    return causes + validate(new)


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a DaemonSet's status."""
    causes = amounts.all_non_negative("status", meta.status(new), _COUNTS)
    return causes + amounts.not_decremented("status", meta.status(new), meta.status(old))


def template_generation(obj: Obj) -> int:
    """The number of the template; 0 when nothing is noted, or no number."""
    try:
        return int(meta.annotations(obj).get(TEMPLATE_GENERATION) or 0)
    except ValueError:
        return 0


COLUMNS = (
    NAME,
    integer("Desired", "status.desiredNumberScheduled", "Nodes that should run a pod."),
    integer("Current", "status.currentNumberScheduled", "Nodes that run a pod and should."),
    integer("Ready", "status.numberReady", "Nodes whose pod is ready."),
    integer("Up-to-date", "status.updatedNumberScheduled", "Nodes with a pod of this template."),
    integer("Available", "status.numberAvailable", "Nodes whose pod is ready for long enough."),
    text(
        "Node Selector",
        workload.labels_cell("spec.template.spec.nodeSelector"),
        "Labels that nodes must have.",
    ),
    AGE,
    workload.CONTAINERS,
    workload.IMAGES,
    workload.SELECTOR,
)


class DaemonSetStrategy(SpecStrategy):
    """The rules of DaemonSets."""

    def prepare_for_create(self, obj: Obj) -> None:
        """A new one runs nowhere yet; its template is the first."""
        super().prepare_for_create(obj)
        obj["status"] = dict.fromkeys(_REQUIRED_COUNTS, 0)
        given = template_generation(obj)
        meta.set_annotation(obj, TEMPLATE_GENERATION, str(given if given >= 1 else 1))

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Count the templates, whatever the client says."""
        super().prepare_for_update(obj, live)
        number = template_generation(live)
        if not is_same(meta.spec(obj).get("template"), meta.spec(live).get("template")):
            number += 1
        meta.set_annotation(obj, TEMPLATE_GENERATION, str(number))


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant in a template that is new or changed."""
    template = meta.spec(obj).get("template")
    if old is not None and template == meta.spec(old).get("template"):
        return []
    return template_warnings(template, "spec.template")


KIND = Kind(
    DAEMON_SETS,
    strategy=DaemonSetStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
