"""The kinds of the group authentication.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.authentication import self_subject_review, token_review

KINDS: tuple[Kind, ...] = (
    self_subject_review.KIND,
    token_review.KIND,
)
