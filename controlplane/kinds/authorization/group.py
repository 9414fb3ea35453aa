"""The kinds of the group authorization.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.authorization import (
    local_subject_access_review,
    self_subject_access_review,
    self_subject_rules_review,
    subject_access_review,
)

KINDS: tuple[Kind, ...] = (
    local_subject_access_review.KIND,
    self_subject_access_review.KIND,
    self_subject_rules_review.KIND,
    subject_access_review.KIND,
)
