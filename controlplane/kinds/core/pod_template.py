"""PodTemplates: a template of pods as an object; no controller reads them.

Sources: pkg/apis/core/validation/validation.go (ValidatePodTemplate), pkg/registry/core/podtemplate.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import NAME, Cell
from controlplane.api.table.standard import text
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import is_new_spec, template_warnings

POD_TEMPLATES = Resource("", "v1", "PodTemplate", "podtemplates")


def default(obj: Obj) -> None:
    """Fill in what was left out of the template."""
    workload.default_template(obj)


def validate(obj: Obj) -> list[Cause]:
    """Causes in the template."""
    return workload.validate_template(obj.get("template"), "template")


def _of_template(cell: Cell) -> Cell:
    """A cell of a workload, made of the template."""
    return lambda obj, now: cell({"spec": {"template": obj.get("template")}}, now)


def _labels(obj: Obj, now: float) -> str:
    return workload.labels_text(meta.labels(obj.get("template") or {}))


COLUMNS = (
    NAME,
    text("Containers", _of_template(workload.container_names), "Names of the containers."),
    text("Images", _of_template(workload.container_images), "Images of the containers."),
    text("Pod Labels", _labels, "Labels of the pods."),
)


class PodTemplateStrategy(Strategy):
    """The rules of templates: their generation counts changes of the template."""

    returns_deleted = True

    has_generation = True


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant."""
    return template_warnings(obj.get("template"), "template") if is_new_spec(obj, old) else []


KIND = Kind(
    POD_TEMPLATES,
    strategy=PodTemplateStrategy,
    default=default,
    validate=validate,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
