"""LocalSubjectAccessReviews: may a user do something in this namespace? Answered, not stored."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.kinds.authorization import access

LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    access.GROUP,
    "v1",
    "LocalSubjectAccessReview",
    "localsubjectaccessreviews",
    verbs=("create",),
)


def _validate(obj: Obj) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = access.validate_spec(spec, names_subject=True)
    causes += access.validate_metadata(obj, "namespace")
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and (resource.get("namespace") or "") != meta.namespace(obj):
        path = "spec.resourceAttributes.namespace"
        detail = "must match metadata.namespace"
        causes.append(fields.invalid(path, resource.get("namespace") or "", detail))
    if other is not None:
        detail = "disallowed on this kind of request"
        causes.append(fields.invalid("spec.nonResourceAttributes", access.shown(other), detail))
    return causes


KIND = Kind(LOCAL_SUBJECT_ACCESS_REVIEWS, validate=_validate)
