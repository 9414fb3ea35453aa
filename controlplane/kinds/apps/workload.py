"""What Deployments and ReplicaSets have in common: a number, a selector, a template."""

from __future__ import annotations

from controlplane.api import meta, selectors
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.table import cells
from controlplane.api.table.columns import Column
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.kinds.core.pod import template


def validate_workload(obj: Obj) -> list[Cause]:
    """What Deployment and ReplicaSet have in common."""
    spec = meta.spec(obj)
    causes = fields.non_negative("spec.replicas", spec.get("replicas"))
    causes += fields.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector")
    if not selector:
        if selector is None:
            causes.append(fields.required("spec.selector"))
        else:
            detail = "empty selector is invalid for deployment"
            causes.append(fields.invalid("spec.selector", selector, detail))
    else:
        causes += validate_selector(selector, "spec.selector")
    return causes + template.validate_template(
        spec.get("template"), "spec.template", selector or None
    )


def selector_kept(new: Obj, old: Obj) -> list[Cause]:
    """The cause in a change of the selector."""
    selector = meta.spec(new).get("selector")
    if selector != meta.spec(old).get("selector"):
        return [fields.immutable("spec.selector", selector)]
    return []


def _template_containers(obj: Obj) -> list[Obj]:
    return meta.get_path(obj, "spec.template.spec.containers", []) or []


def _container_names(obj: Obj, now: float) -> str:
    """Names of the template's containers."""
    return ",".join(str(c.get("name", "")) for c in _template_containers(obj))


def _container_images(obj: Obj, now: float) -> str:
    """Images of the template's containers."""
    return ",".join(str(c.get("image", "")) for c in _template_containers(obj))


def _selector(obj: Obj, now: float) -> str:
    """spec.selector in the query form."""
    found = meta.spec(obj).get("selector")
    if not found:
        return cells.NONE
    try:
        return str(selectors.LabelSelector.from_object(found)) or cells.NONE
    except ValueError:
        return "<error>"


WIDE_COLUMNS = (
    Column("Containers", _container_names, 1, description="Names of the containers."),
    Column("Images", _container_images, 1, description="Images of the containers."),
    Column("Selector", _selector, 1, description="Label selector of the pods."),
)
