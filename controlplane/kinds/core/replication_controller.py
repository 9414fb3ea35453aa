"""ReplicationControllers: the elder of ReplicaSets, with a selector that is a plain map.

Sources: pkg/apis/core/validation/validation.go, pkg/apis/core/v1/defaults.go, pkg/registry/core/replicationcontroller.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import integer, text
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import is_new_spec, name_warning, template_warnings

REPLICATION_CONTROLLERS = Resource(
    "",
    "v1",
    "ReplicationController",
    "replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    # The name of the store is from before the group had one.
    storage="controllers",
    subresources=(SCALE, STATUS),
    field_labels=("status.replicas",),
)

_COUNTS = (
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
)


def default(obj: Obj) -> None:
    """Fill in what was left out: selector and labels from the template."""
    spec = part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    if spec.get("template") is not None:
        workload.default_template(spec)
        labels = workload.template_labels(spec["template"])
        if labels:
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            if not meta.labels(obj):
                meta.ensure_metadata(obj)["labels"] = dict(labels)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a controller."""
    spec = meta.spec(obj)
    causes = fields.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector, template, path = spec.get("selector") or {}, spec.get("template"), "spec.template"
    if not selector:
        causes.append(fields.required("spec.selector"))
    if spec.get("replicas") is None:
        causes.append(fields.required("spec.replicas"))
    causes += fields.non_negative("spec.replicas", spec.get("replicas"))
    if template is None:
        return [*causes, fields.required(path)]
    labels = workload.template_labels(template) or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        shown = workload.shown_labels(template)
        causes.append(fields.invalid(f"{path}.metadata.labels", shown, workload.NO_MATCH))
    causes += workload.validate_template(template, path)
    return causes + workload.validate_always_restarts(template, path, "ReplicationController")


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a controller's status."""
    del old
    status = meta.status(new)
    causes = amounts.all_non_negative("status", status, _COUNTS)
    keys = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    detail = "cannot be greater than status.replicas"
    causes += amounts.not_above("status", status, keys, "replicas", detail)
    detail = "cannot be greater than readyReplicas"
    return causes + amounts.not_above(
        "status", status, ("availableReplicas",), "readyReplicas", detail
    )


COLUMNS = (
    NAME,
    integer("Desired", "spec.replicas", "Wanted."),
    integer("Current", "status.replicas", "Made."),
    integer("Ready", "status.readyReplicas", "Ready pods."),
    AGE,
    workload.CONTAINERS,
    workload.IMAGES,
    text("Selector", workload.labels_cell("spec.selector"), "Labels of the pods.", is_wide=True),
)


class ControllerStrategy(SpecStrategy):
    """The rules of controllers."""

    orphans_by_default = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new one has no pods."""
        super().prepare_for_create(obj)
        obj["status"] = {"replicas": 0}


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant."""
    found = name_warning(obj, old)
    if is_new_spec(obj, old):
        # Compat: of a change, upstream looks at the template that was.
        template = meta.spec(obj if old is None else old).get("template")
        found += template_warnings(template, "spec.template")
    return found


KIND = Kind(
    REPLICATION_CONTROLLERS,
    strategy=ControllerStrategy,
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
