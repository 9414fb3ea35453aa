"""The Pods of a Job: pure."""

from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.job import indexes
from controlplane.controllers.job.plan import (
    FAILURES,
    FINALIZER,
    IGNORED_FAILURES,
    Look,
    Scale,
)
from controlplane.controllers.job.policies import judge
from controlplane.controllers.workloads.pods import pod_of

_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
# What the server makes names of is cut here (63 less the random suffix), so that the index stays whole.
_PREFIX_LENGTH = 58


def new_pods(seen: Look, scale: Scale) -> list[Obj]:
    """The Pods a plan asks for."""
    template = meta.spec(seen.job).get("template") or {}
    if not scale.indexes:
        return [_tracked(pod_of(template, seen.job)) for _ in range(scale.create)]
    return [_indexed(seen, template, index) for index in scale.indexes]


def _tracked(pod: Obj) -> Obj:
    finalizers = pod["metadata"].get("finalizers") or []
    if FINALIZER not in finalizers:
        pod["metadata"]["finalizers"] = [*finalizers, FINALIZER]
    return pod


def _indexed(seen: Look, template: Obj, index: int) -> Obj:
    job = seen.job
    pod = _tracked(pod_of(template, job))
    metadata, suffix = pod["metadata"], f"-{index}-"
    metadata["generateName"] = meta.name(job)[: _PREFIX_LENGTH - len(suffix)] + suffix
    metadata["labels"] = {**(metadata.get("labels") or {}), indexes.ANNOTATION: str(index)}
    annotations = {**(metadata.get("annotations") or {}), indexes.ANNOTATION: str(index)}
    if meta.spec(job).get("backoffLimitPerIndex") is not None:
        annotations |= _failure_counts(job, seen.replaced.get(index))
    metadata["annotations"] = annotations
    pod["spec"]["hostname"] = f"{meta.name(job)}-{index}"
    for name in ("initContainers", "containers"):
        for container in pod["spec"].get(name) or ():
            _add_variable(container)
    return pod


def _failure_counts(job: Obj, replaced: Obj | None) -> dict[str, str]:
    counts = {FAILURES: 0, IGNORED_FAILURES: 0}
    if replaced is not None:
        for name in counts:
            text = meta.annotations(replaced).get(name, "0")
            counts[name] = int(text) if text.isdigit() else 0
        counts[FAILURES if judge(job, replaced).is_counted else IGNORED_FAILURES] += 1
    found = {FAILURES: str(counts[FAILURES])}
    return found | (
        {IGNORED_FAILURES: str(counts[IGNORED_FAILURES])} if counts[IGNORED_FAILURES] else {}
    )


def _add_variable(container: dict[str, Any]) -> None:
    environment = container.get("env") or []
    if all(variable.get("name") != _INDEX_VARIABLE for variable in environment):
        source = {"fieldRef": {"fieldPath": f"metadata.labels['{indexes.ANNOTATION}']"}}
        container["env"] = [*environment, {"name": _INDEX_VARIABLE, "valueFrom": source}]
