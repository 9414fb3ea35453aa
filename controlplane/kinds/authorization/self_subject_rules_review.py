"""SelfSubjectRulesReviews: what may I do in a namespace? Answered, not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.kinds.authorization import access

SELF_SUBJECT_RULES_REVIEWS = Resource(
    access.GROUP,
    "v1",
    "SelfSubjectRulesReview",
    "selfsubjectrulesreviews",
    namespaced=False,
    verbs=("create",),
)

KIND = Kind(SELF_SUBJECT_RULES_REVIEWS)
