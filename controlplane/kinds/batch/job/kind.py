"""Jobs: defaults, identity of their pods, what may change, columns.

A Job that does not say otherwise selects its pods by its uid: selector and labels are written at creation.
Sources: pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go, pkg/registry/batch/job/strategy.go.
"""

from __future__ import annotations

import copy

from controlplane.api import conditions, meta, names, times
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation import selector
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Shape
from controlplane.kinds.batch.job.spec import FAILURE_POLICY, SUCCESS_POLICY, validate_job_spec
from controlplane.kinds.batch.job.status import validate_status
from controlplane.kinds.core import workload
from controlplane.kinds.core.pod.warnings import is_new_spec, name_warning, template_warnings

JOBS = Resource(
    "batch",
    "v1",
    "Job",
    "jobs",
    categories=("all",),
    subresources=(STATUS,),
    field_labels=("status.successful",),
)

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID = "controller-uid"
LEGACY_JOB_NAME = "job-name"
# What a Job without a limit of its own gets, and one that counts failures by index.
_BACKOFF_LIMIT = 6
_NO_BACKOFF_LIMIT = 2**31 - 1
_MANY_COMPLETIONS, _MANY_PODS = 100_000, 10_000


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    set_missing(spec, "parallelism", 1)
    if spec.get("backoffLimit") is None:
        is_by_index = spec.get("backoffLimitPerIndex") is not None
        spec["backoffLimit"] = _NO_BACKOFF_LIMIT if is_by_index else _BACKOFF_LIMIT
    workload.default_template(spec)
    _default_labels(obj)
    if spec.get("completionMode") is None:
        spec["completionMode"] = "NonIndexed"
    if spec.get("podReplacementPolicy") is None:
        has_policy = spec.get("podFailurePolicy") is not None
        spec["podReplacementPolicy"] = "Failed" if has_policy else "TerminatingOrFailed"
    for key in ("suspend", "manualSelector"):
        if spec.get(key) is None:
            spec[key] = False
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            set_missing(pattern, "status", "True")


def _default_labels(obj: Obj) -> None:
    """A Job without labels takes those of its pods."""
    labels = workload.template_labels(meta.spec(obj).get("template"))
    if labels and not meta.labels(obj):
        meta.ensure_metadata(obj)["labels"] = dict(labels)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new Job."""
    return _generated(obj, is_prefixed=True) + _selected_spec(obj) + _pod_names(obj)


def _generated(obj: Obj, *, is_prefixed: bool) -> list[Cause]:
    """Causes in a selector and labels that were to be written for the client."""
    spec = meta.spec(obj)
    given = spec.get("selector")
    if spec.get("manualSelector") or given is None:
        return []
    wanted = {LEGACY_CONTROLLER_UID: meta.uid(obj), LEGACY_JOB_NAME: meta.name(obj)}
    if is_prefixed:
        wanted |= {CONTROLLER_UID: meta.uid(obj), JOB_NAME: meta.name(obj)}
    labels = workload.template_labels(spec.get("template")) or {}
    causes: list[Cause] = []
    for key, value in wanted.items():
        path = "spec.template.metadata.labels"
        if key not in labels:
            causes.append(fields.required(f"{path}[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            shown = dict(sorted(labels.items()))
            causes.append(fields.invalid(f"{path}[{key}]", shown, f"must be '{value}'"))
    if not selector.problem_of(given) and not selector.selects(given, wanted):
        detail = "`selector` not auto-generated"
        causes.append(fields.invalid("spec.selector", selector.shown(given), detail))
    return causes


def _selected_spec(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    causes = validate_job_spec(spec, "spec")
    given = spec.get("selector")
    if given is None:
        causes.append(fields.required("spec.selector"))
    else:
        causes += selector.validate_selector(given, "spec.selector")
    template = spec.get("template")
    labels = workload.template_labels(template)
    if not selector.problem_of(given) and not selector.selects(given, labels):
        path, shown = "spec.template.metadata.labels", workload.shown_labels(template)
        causes.append(fields.invalid(path, shown, workload.NO_MATCH))
    return causes


def _pod_names(obj: Obj) -> list[Cause]:
    """Causes in a name that leaves no room for the index of a pod's host name."""
    spec = meta.spec(obj)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") != "Indexed" or completions <= 0:
        return []
    longest = f"{meta.name(obj)}-{completions - 1}"
    if not names.dns_label(longest):
        return []
    detail = f"will not able to create pod with invalid DNS label: {longest}"
    return [fields.invalid("metadata.name", meta.name(obj), detail)]


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed Job; upstream reports those of the spec twice."""
    old_labels = workload.template_labels(meta.spec(old).get("template")) or {}
    is_prefixed = JOB_NAME in old_labels and CONTROLLER_UID in old_labels
    causes = _generated(new, is_prefixed=is_prefixed) + _selected_spec(new) + _pod_names(new)
    return causes + _selected_spec(new) + _fixed(meta.spec(new), meta.spec(old), old)


def _fixed(spec: Obj, before: Obj, old: Obj) -> list[Cause]:
    causes = _completions(spec, before)
    if not is_same(spec.get("selector"), before.get("selector")):
        causes.append(fields.immutable("spec.selector", selector.shown(spec.get("selector"))))
    causes += _template_kept(spec, before, old)
    shapes: tuple[tuple[str, Shape | None], ...] = (
        ("completionMode", None),
        ("podFailurePolicy", FAILURE_POLICY),
        ("backoffLimitPerIndex", None),
        ("managedBy", None),
        ("successPolicy", SUCCESS_POLICY),
    )
    for key, shape in shapes:
        value = spec.get(key)
        if not is_same(value, before.get(key)):
            shown = shape.of(value) if shape is not None and value is not None else value
            causes.append(fields.immutable(f"spec.{key}", shown))
    return causes


def _completions(spec: Obj, before: Obj) -> list[Cause]:
    wanted, path = spec.get("completions"), "spec.completions"
    if wanted == before.get("completions"):
        return []
    if spec.get("completionMode") != "Indexed":
        return [fields.immutable(path, wanted)]
    if wanted is None or wanted == spec.get("parallelism"):
        return []
    detail = "can only be modified in tandem with spec.parallelism"
    return [fields.invalid(path, wanted, detail)]


def _template_kept(spec: Obj, before: Obj, old: Obj) -> list[Cause]:
    """The template stays, but a suspended Job without pods may be moved elsewhere and sized anew."""
    template = spec.get("template") or {}
    kept = copy.deepcopy(before.get("template") or {})
    is_suspended = bool(before.get("suspend"))
    is_idle = not meta.status(old).get("active") and (
        meta.status(old).get("startTime") is None or conditions.is_true(old, "Suspended")
    )
    if is_suspended and is_idle:
        _take_over_placement(kept, template)
        _take_over_resources(meta.spec(kept), meta.spec(template))
        if not is_same(meta.spec(template), meta.spec(kept)):
            return [fields.immutable("spec.template.spec", meta.spec(template))]
        return []
    if not is_same(template, kept):
        return [fields.immutable("spec.template", template)]
    return []


def _take_over_placement(kept: Obj, template: Obj) -> None:
    fresh, pod = meta.spec(template), part(kept, "spec")
    for key in ("nodeSelector", "tolerations", "schedulingGates"):
        _take_over(pod, fresh, key)
    for key in ("annotations", "labels"):
        _take_over(part(kept, "metadata"), meta.metadata(template), key)
    affinity, wanted = pod.get("affinity"), fresh.get("affinity")
    if wanted is not None or affinity is not None:
        merged = dict(affinity or {})
        _take_over(merged, wanted or {}, "nodeAffinity")
        if merged or wanted is not None:
            pod["affinity"] = merged
        else:
            pod.pop("affinity", None)


def _take_over_resources(pod: Obj, fresh: Obj) -> None:
    for key in ("containers", "initContainers"):
        rows, wanted = pod.get(key) or [], fresh.get(key) or []
        if len(rows) != len(wanted):
            continue
        for row, other in zip(rows, wanted, strict=True):
            if row.get("name") == other.get("name"):
                _take_over(row, other, "resources")


def _take_over(target: Obj, source: Obj, key: str) -> None:
    if source.get(key) is not None:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _status(obj: Obj, now: float) -> str:
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if conditions.is_true(obj, kind):
            return word
    if meta.is_deleting(obj):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if conditions.is_true(obj, kind):
            return kind
    return "Running"


def _done(obj: Obj, now: float) -> str:
    spec, succeeded = meta.spec(obj), meta.status(obj).get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(obj: Obj, now: float) -> str:
    started = times.parse_or_none(meta.status(obj).get("startTime"))
    if started is None:
        return ""
    ended = times.parse_or_none(meta.status(obj).get("completionTime"))
    return times.human_duration((now if ended is None else ended) - started)


COLUMNS = (
    NAME,
    text("Status", _status, "Whether it runs, and how it ended."),
    text("Completions", _done, "Pods that succeeded, of those wanted."),
    text("Duration", _duration, "How long it runs or ran."),
    AGE,
    workload.CONTAINERS,
    workload.IMAGES,
    workload.SELECTOR,
)


def spec_warnings(spec: Obj, path: str) -> list[str]:
    """More indexes than the status can hold when many fail, and what is said of the template."""
    completions, parallelism = spec.get("completions") or 0, spec.get("parallelism") or 0
    is_large = completions > _MANY_COMPLETIONS and parallelism > _MANY_PODS
    found: list[str] = []
    if spec.get("completionMode") == "Indexed" and is_large:
        found.append(
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a "
            "parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes "
            "when a big number of indexes fail"
        )
    return found + template_warnings(spec.get("template"), f"{path}.template")


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and is hardly meant."""
    found = name_warning(obj, old)
    return found + (spec_warnings(meta.spec(obj), "spec") if is_new_spec(obj, old) else [])


def field_value(obj: Obj, label: str) -> str | None:
    """`status.successful` is the number of pods that succeeded."""
    if label == "status.successful":
        return str(meta.status(obj).get("succeeded") or 0)
    return None


class JobStrategy(SpecStrategy):
    """The rules of Jobs."""

    orphans_by_default = True
    unsaid_propagation_warning = (
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
        "to remove them or set propagationPolicy=Orphan to suppress this warning"
    )

    def prepare_for_create(self, obj: Obj) -> None:
        """Write selector and labels, unless the client does it; nothing has run yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}
        spec = part(obj, "spec")
        if not spec.get("manualSelector"):
            labels = part(part(part(spec, "template"), "metadata"), "labels")
            for key in (LEGACY_JOB_NAME, JOB_NAME):
                labels.setdefault(key, meta.name(obj))
            for key in (LEGACY_CONTROLLER_UID, CONTROLLER_UID):
                labels.setdefault(key, meta.uid(obj))
            part(part(spec, "selector"), "matchLabels").setdefault(CONTROLLER_UID, meta.uid(obj))
        _default_labels(obj)


KIND = Kind(
    JOBS,
    unknown_field_label='field label "{label}" not supported for Job',
    strategy=JobStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    field_value=field_value,
    warnings=warnings,
)
