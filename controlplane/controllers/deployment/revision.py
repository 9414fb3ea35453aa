"""Which ReplicaSet belongs to which template, its name, and the annotations both carry: pure.

A template is known by the hash of its canonical JSON with the collision count, spelled in the alphabet Kubernetes uses
for generated names. The hash differs from upstream's value for the same template; only its stability matters.
"""

from collections.abc import Sequence
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.templates import digest, without_nothing

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"

_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
    }
)


def template_hash(template: Obj, collision_count: int) -> str:
    """A short, name-safe text that differs between templates."""
    return digest(_canonical(template), collision_count)


def same_template(left: Obj, right: Obj) -> bool:
    """Whether two templates make the same Pods."""
    return bool(_canonical(left) == _canonical(right))


def _canonical(template: Obj) -> Any:
    cleaned = without_nothing(template)
    metadata = cleaned.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    return {**cleaned, "metadata": {**metadata, "labels": labels}}


def by_age(replicasets: Sequence[Obj]) -> list[Obj]:
    """Oldest first; names break ties."""
    return sorted(replicasets, key=lambda rs: (meta.creation_timestamp(rs), meta.name(rs)))


def find_new(deployment: Obj, replicasets: Sequence[Obj]) -> Obj | None:
    """The oldest ReplicaSet with the Deployment's template."""
    template = meta.spec(deployment).get("template") or {}
    for replicaset in by_age(replicasets):
        if same_template(meta.spec(replicaset).get("template") or {}, template):
            return replicaset
    return None


def revision_of(obj: Obj) -> int:
    """The revision annotation; 0 when there is none."""
    try:
        return int(meta.annotations(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def size_annotations(replicas: int, maximum: int) -> dict[str, str]:
    """The annotations proportional scaling reads later."""
    return {DESIRED: str(replicas), MAXIMUM: str(maximum)}


def annotation_number(replicaset: Obj, name: str) -> int | None:
    """An annotation that holds a number, or None."""
    try:
        return int(meta.annotations(replicaset)[name])
    except (KeyError, ValueError):
        return None


def new_annotations(
    deployment: Obj, replicaset: Obj | None, olds: Sequence[Obj], maximum: int
) -> dict[str, str]:
    """All annotations the current ReplicaSet should carry; an existing one keeps its own besides."""
    before = meta.annotations(replicaset) if replicaset is not None else {}
    annotations = dict(before)
    for name, value in meta.annotations(deployment).items():
        if name not in _NOT_COPIED:
            annotations[name] = value
    wanted = max((revision_of(old) for old in olds), default=0) + 1
    have = revision_of(replicaset) if replicaset is not None else 0
    if have < wanted:
        # A rollback: the old template becomes the newest revision and remembers its former numbers.
        if have:
            history = before.get(REVISION_HISTORY, "")
            annotations[REVISION_HISTORY] = f"{history},{have}" if history else str(have)
        annotations[REVISION] = str(wanted)
    if replicaset is None:
        replicas = int(meta.spec(deployment).get("replicas", 1))
        annotations.update(size_annotations(replicas, maximum))
    return annotations


def new_replicaset(
    deployment: Obj, replicas: int, annotations: dict[str, str], collision_count: int
) -> Obj:
    """The ReplicaSet of the Deployment's current template."""
    spec = meta.spec(deployment)
    template = meta.copy_of(spec.get("template") or {})
    digest = template_hash(template, collision_count)
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = meta.copy_of(spec.get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta.name(deployment)}-{digest}",
            "namespace": meta.namespace(deployment),
            "labels": dict(metadata["labels"]),
            "annotations": annotations,
            "ownerReferences": [meta.controller_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": int(spec.get("minReadySeconds") or 0),
            "selector": selector,
            "template": template,
        },
    }
