"""What all kinds with a pod template share: its defaults, its rules, the columns about it.

Source: pkg/apis/core/validation/validation.go (ValidatePodTemplateSpec).
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.api.table import cells
from controlplane.api.table.columns import Cell, Column
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_annotations, validate_labels
from controlplane.kinds.core.pod.defaults import default_pod_spec
from controlplane.kinds.core.pod.validation import validate_pod_spec

NO_MATCH = "`selector` does not match template `labels`"


def default_template(owner: Obj, key: str = "template") -> None:
    """Complete the pod template in a field of `owner`, in place; an absent one is made."""
    template = part(owner, key)
    meta.ensure_metadata(template)
    default_pod_spec(part(template, "spec"))


def template_labels(template: Obj | None) -> dict[str, str] | None:
    """The labels of a template as messages show them: None when there is no map."""
    found: dict[str, str] | None = meta.metadata(template or {}).get("labels")
    return found


def shown_labels(template: Obj | None) -> dict[str, str] | None:
    """The same, sorted by key as Go prints a map."""
    labels = template_labels(template)
    return None if labels is None else dict(sorted(labels.items()))


def validate_template(template: Obj | None, path: str) -> list[Cause]:
    """Causes in a pod template itself, whoever owns it."""
    template = template or {}
    causes = validate_labels(f"{path}.labels", template_labels(template))
    causes += validate_annotations(f"{path}.annotations", meta.annotations(template))
    causes += validate_pod_spec(meta.spec(template), f"{path}.spec")
    if meta.spec(template).get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        causes.append(fields.forbidden(f"{path}.spec.ephemeralContainers", detail))
    return causes


def validate_always_restarts(template: Obj | None, path: str, kind: str) -> list[Cause]:
    """Causes in the template of a kind whose pods run for ever."""
    causes: list[Cause] = []
    spec = meta.spec(template or {})
    policy = spec.get("restartPolicy")
    if policy != "Always":
        causes.append(fields.not_supported(f"{path}.spec.restartPolicy", policy or "", ["Always"]))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        causes.append(fields.forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return causes


def labels_text(labels: dict[str, str] | None) -> str:
    """A map of labels as tables show it: `a=b,c=d`, `<none>` for an empty one."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def labels_cell(path: str) -> Cell:
    """A cell with the map of labels at a dotted path."""
    return lambda obj, now: labels_text(meta.get_path(obj, path))


def count(name: str, cell: Cell, description: str) -> Column:
    """A column with a number that is made."""
    return Column(name, cell, type="integer", description=description)


def container_names(obj: Obj, now: float) -> str:
    """Names of the template's containers."""
    return _of_containers(obj, "name")


def container_images(obj: Obj, now: float) -> str:
    """Images of the template's containers."""
    return _of_containers(obj, "image")


def _of_containers(obj: Obj, key: str) -> str:
    rows = meta.get_path(obj, "spec.template.spec.containers") or []
    return ",".join(str(row.get(key) or "") for row in rows)


def selector(obj: Obj, now: float) -> str:
    """spec.selector in the query form."""
    found = meta.spec(obj).get("selector")
    if not found:
        return cells.NONE
    try:
        return str(LabelSelector.from_object(found)) or cells.NONE
    except ValueError:
        return "<error>"


CONTAINERS = text("Containers", container_names, "Names of the containers.", is_wide=True)
IMAGES = text("Images", container_images, "Images of the containers.", is_wide=True)
SELECTOR = text("Selector", selector, "Label selector of the pods.", is_wide=True)
