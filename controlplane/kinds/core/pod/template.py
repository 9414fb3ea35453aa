"""Pod templates of workloads: a pod without a name, made again and again."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_labels
from controlplane.kinds.core.pod.defaults import default_pod_spec
from controlplane.kinds.core.pod.validation import validate_pod_spec


def default_template(spec: Obj) -> None:
    """Defaults of `spec.template`."""
    template = part(spec, "template")
    # Upstream writes this null; it is left so, since clients compare.
    meta.ensure_metadata(template)
    default_pod_spec(part(template, "spec"))


def validate_template(template: Any, path: str, selector: Obj | None) -> list[Cause]:
    """Causes in a pod template of a controller that keeps its pods running."""
    template = template or {}
    labels = meta.labels(template)
    causes = validate_labels(f"{path}.metadata.labels", labels)
    if selector is not None and not _matches(selector, labels):
        causes.append(
            fields.invalid(
                f"{path}.metadata.labels",
                labels,
                "`selector` does not match template `labels`",
            )
        )
    spec = meta.spec(template)
    causes += validate_pod_spec(spec, f"{path}.spec")
    if spec.get("restartPolicy") in ("OnFailure", "Never"):
        causes.append(
            fields.not_supported(f"{path}.spec.restartPolicy", spec["restartPolicy"], ["Always"])
        )
    if spec.get("activeDeadlineSeconds") is not None:
        causes.append(
            fields.forbidden(
                f"{path}.spec.activeDeadlineSeconds",
                "activeDeadlineSeconds in ReplicaSet is not Supported",
            )
        )
    return causes


def _matches(selector: Obj, labels: dict[str, str]) -> bool:
    from controlplane.api.selectors import LabelSelector

    try:
        return LabelSelector.from_object(selector).matches(labels)
    except ValueError:
        return True  # the selector's own rules tell
