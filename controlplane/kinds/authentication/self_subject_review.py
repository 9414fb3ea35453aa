"""SelfSubjectReviews: who am I? Answered, not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource

SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io",
    "v1",
    "SelfSubjectReview",
    "selfsubjectreviews",
    namespaced=False,
    verbs=("create",),
)

KIND = Kind(SELF_SUBJECT_REVIEWS)
