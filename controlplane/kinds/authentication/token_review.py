"""TokenReviews: whose token is this? Answered, not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource

TOKEN_REVIEWS = Resource(
    "authentication.k8s.io",
    "v1",
    "TokenReview",
    "tokenreviews",
    namespaced=False,
    verbs=("create",),
)

KIND = Kind(TOKEN_REVIEWS)
