"""ResourceClaimTemplates: claims that are made for pods."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.metadata import validate_annotations, validate_labels
from controlplane.kinds.resource import requests

RESOURCE_CLAIM_TEMPLATES = Resource(
    "resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates"
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    requests.default_spec(part(part(obj, "spec"), "spec"))


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new template."""
    spec = meta.spec(obj)
    metadata = spec.get("metadata") or {}
    causes = validate_annotations("spec.metadata.annotations", metadata.get("annotations"))
    causes += validate_labels("spec.metadata.labels", metadata.get("labels"))
    return causes + requests.validate_spec(spec.get("spec") or {}, "spec.spec")


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed template: its spec stays."""
    spec = meta.spec(new)
    if is_same(spec, meta.spec(old)):
        return []
    return [fields.immutable("spec", _shown(spec))]


def _shown(spec: Obj) -> dict[str, Any]:
    metadata = {key: value for key, value in (spec.get("metadata") or {}).items() if value}
    return {**metadata, "Spec": requests.SPEC.of(spec.get("spec"))}


KIND = Kind(
    RESOURCE_CLAIM_TEMPLATES,
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, AGE),
)
