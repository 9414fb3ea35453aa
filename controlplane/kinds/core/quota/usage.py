"""What a namespace uses of a quota, counted anew.

Source: apiserver/pkg/quota/v1/resources.go (CalculateUsage), generic/evaluator.go (CalculateUsageStats).
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.quota.amounts import ZERO, Amount, Amounts, add, only
from controlplane.kinds.core.quota.evaluator import Evaluator


def counted(quota: Obj, kinds: Iterable[tuple[Evaluator, Iterable[Obj]]], now: float) -> Amounts:
    """Usage by each name of the quota's spec that one of the kinds counts; kinds come with their objects."""
    hard = meta.spec(quota).get("hard") or {}
    total: dict[str, Amount] = {}
    for evaluator, objects in kinds:
        names = [name for name in hard if evaluator.counts(name)]
        if not names:
            continue
        total = add(dict.fromkeys(names, ZERO), total)
        for obj in objects:
            if evaluator.is_in_scope(quota, obj):
                total = add(total, only(evaluator.usage(obj, now), names))
    return total
