"""What the reviews of access have in common, with upstream's messages.

Source: pkg/apis/authorization/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

GROUP = "authorization.k8s.io"
_NOTHING = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def validate_spec(spec: Obj, *, names_subject: bool) -> list[Cause]:
    """Causes in what is asked; `names_subject` says whether it must be told about whom."""
    causes: list[Cause] = []
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        causes.append(fields.invalid("spec.nonResourceAttributes", shown(other), detail))
    if resource is None and other is None:
        causes.append(fields.invalid("spec.resourceAttributes", None, _NOTHING))
    if names_subject and not spec.get("user") and not spec.get("groups"):
        detail = "at least one of user or group must be specified"
        causes.append(fields.invalid("spec.user", spec.get("user") or "", detail))
    for name in ("fieldSelector", "labelSelector"):
        causes += _validate_selector((resource or {}).get(name), f"spec.resourceAttributes.{name}")
    return causes


def shown(other: Obj) -> Obj:
    """nonResourceAttributes as messages show them: by the internal type's names."""
    return {"Path": other.get("path") or "", "Verb": other.get("verb") or ""}


def _validate_selector(selector: Obj | None, path: str) -> list[Cause]:
    if selector is None:
        return []
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        detail = "may not specified at the same time as requirements"
        return [fields.invalid(f"{path}.rawSelector", raw, detail)]
    if not raw and not requirements:
        detail = f"when {path} is specified, requirements or rawSelector is required"
        return [fields.required(f"{path}.requirements", detail)]
    return []


def validate_metadata(obj: Obj, *allowed: str) -> list[Cause]:
    """A review has no metadata but what is allowed."""
    given = {
        key: value
        for key, value in meta.metadata(obj).items()
        if value and key not in (*allowed, "managedFields")
    }
    if not given:
        return []
    detail = "must be empty except for namespace" if "namespace" in allowed else "must be empty"
    return [fields.invalid("metadata", given, detail)]
