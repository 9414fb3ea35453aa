"""What a write adds to a quota's usage, or why the quota refuses it.

Source: apiserver/pkg/admission/plugin/resourcequota/controller.go (CheckRequest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.quota.amounts import Amounts, add, growth, is_same, only, parsed, shown
from controlplane.kinds.core.quota.evaluator import UPDATE, Evaluator


class Refused(Exception):
    """The quota does not let the write in; the text says why, in the original's words."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write as quotas see it; `now` in seconds since 1970."""

    evaluator: Evaluator
    operation: str
    subresource: str
    obj: Obj
    old: Obj | None
    now: float


def used_after(quota: Obj, write: Write) -> Amounts | None:
    """The usage that the quota has after the write; None when the write does not change it. Raises Refused."""
    hard = parsed(meta.status(quota).get("hard"))
    evaluator = write.evaluator
    if not evaluator.concerns(quota, hard, write.obj):
        return None
    counted = sorted(name for name in hard if evaluator.counts(name))
    missing = evaluator.missing(counted, write.obj)
    if missing:
        raise Refused(f"failed quota: {meta.name(quota)}: {missing}")
    used = parsed(meta.status(quota).get("used"))
    if any(name not in used for name in counted):
        names = ",".join(counted)
        raise Refused(f"status unknown for quota: {meta.name(quota)}, resources: {names}")
    usage = evaluator.usage(write.obj, write.now)
    negative = sorted(name for name, amount in usage.items() if amount.number < 0)
    if negative:
        raise Refused(f"quota usage is negative for resource(s): {','.join(negative)}")
    before: Amounts = {}
    old = write.old if write.operation == UPDATE else None
    if old is not None and evaluator.concerns(quota, hard, old):
        before = evaluator.usage(old, write.now)
    asked = only(growth(usage, before), hard)
    after = add(used, asked)
    if write.subresource != "status":
        over = [name for name in asked if after[name].number > hard[name].number]
        if over:
            raise Refused(
                f"exceeded quota: {meta.name(quota)}, requested: {shown(only(asked, over))}, "
                f"used: {shown(only(used, over))}, limited: {shown(only(hard, over))}"
            )
    return None if is_same(after, used) else after


def names_that_count(quota: Obj, evaluator: Evaluator) -> Sequence[str]:
    """The names of a quota that are the kind's."""
    return [name for name in meta.status(quota).get("hard") or () if evaluator.counts(name)]
