"""SelfSubjectAccessReviews: may I do something? Answered, not stored."""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.kinds.authorization import access

SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    access.GROUP,
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
    verbs=("create",),
)


def _validate(obj: Obj) -> list[Cause]:
    return access.validate_spec(obj.get("spec") or {}, names_subject=False) + (
        access.validate_metadata(obj)
    )


KIND = Kind(SELF_SUBJECT_ACCESS_REVIEWS, validate=_validate)
