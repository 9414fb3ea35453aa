"""What Deployments and ReplicaSets have in common: a number, a selector, a template."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.kinds.core import workload
from controlplane.kinds.core.workload import CONTAINERS, IMAGES, SELECTOR

_ABOVE_REPLICAS = "cannot be greater than status.replicas"
_ABOVE_READY = "cannot be greater than readyReplicas"


def default_workload(obj: Obj) -> None:
    """Defaults of the number and the template."""
    spec = part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    workload.default_template(spec)


def validate_replicas(obj: Obj) -> list[Cause]:
    """Causes in the number of pods."""
    return fields.non_negative("spec.replicas", meta.spec(obj).get("replicas"))


def validate_pods(obj: Obj) -> list[Cause]:
    """Causes in selector and template."""
    spec, path = meta.spec(obj), "spec.selector"
    given = spec.get("selector")
    causes: list[Cause] = []
    if given is None:
        causes.append(fields.required(path))
    else:
        causes += selector.validate_selector(given, path)
        if selector.is_empty(given):
            detail = "empty selector is invalid for deployment"
            causes.append(fields.invalid(path, selector.shown(given), detail))
    if selector.problem_of(given):
        return [*causes, fields.invalid(path, selector.shown(given), "invalid label selector")]
    return causes + _template(given, spec.get("template") or {})


def _template(given: Obj | None, template: Obj) -> list[Cause]:
    path, causes = "spec.template", list[Cause]()
    is_everything = given is not None and selector.is_empty(given)
    labels = workload.template_labels(template)
    if not is_everything and not selector.selects(given, labels):
        shown = workload.shown_labels(template)
        causes.append(fields.invalid(f"{path}.metadata.labels", shown, workload.NO_MATCH))
    causes += workload.validate_template(template, path)
    return causes + workload.validate_always_restarts(template, path, "ReplicaSet")


def validate_status(new: Obj, counts: tuple[str, ...], bounded: tuple[str, ...]) -> list[Cause]:
    """Causes in the `counts` of a status, of which the `bounded` are parts of all replicas."""
    status = meta.status(new)
    causes = amounts.all_non_negative("status", status, counts)
    causes += amounts.not_above("status", status, bounded, "replicas", _ABOVE_REPLICAS)
    return causes + amounts.not_above(
        "status", status, ("availableReplicas",), "readyReplicas", _ABOVE_READY
    )


def selector_kept(new: Obj, old: Obj) -> list[Cause]:
    """The cause in a change of the selector."""
    given = meta.spec(new).get("selector")
    if is_same(given, meta.spec(old).get("selector")):
        return []
    return [fields.immutable("spec.selector", selector.shown(given))]


WIDE_COLUMNS = (CONTAINERS, IMAGES, SELECTOR)
