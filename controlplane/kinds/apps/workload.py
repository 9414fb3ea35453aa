"""What Deployments and ReplicaSets have in common: a number, a selector, a template."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.kinds.core.pod import template
from controlplane.kinds.core.workload import CONTAINERS, IMAGES, SELECTOR


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


WIDE_COLUMNS = (CONTAINERS, IMAGES, SELECTOR)
