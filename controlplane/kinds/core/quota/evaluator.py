"""What quotas count of one kind.

Source: apiserver/pkg/quota/v1/interfaces.go, generic/evaluator.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from controlplane.api.meta import Obj, View
from controlplane.kinds.core.quota.amounts import ONE, Amounts
from controlplane.kinds.core.quota.scopes import matches_nothing, selectors_of

CREATE, UPDATE = "CREATE", "UPDATE"


def only_new(operation: str, subresource: str, obj: Obj, old: Obj | None) -> bool:
    """Whether the object is made by the request."""
    return operation == CREATE and not subresource


def new_or_changed(operation: str, subresource: str, obj: Obj, old: Obj | None) -> bool:
    """Whether the object is made or replaced by the request."""
    return operation in (CREATE, UPDATE) and not subresource


def _anything(names: Collection[str], obj: Obj) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The rules of one kind.

    `counts` says whether a name of a quota's amounts is one of this kind's. `usage` is what an object uses, at a time
    in seconds since 1970. `handles` says whether a write (operation, subresource, object, old object) can change usage.
    `missing` says what the object must specify when a quota has these names. `matches` judges a selector of scopes;
    `frees_on_update` says whether a change (old, new, time) may have made room.
    """

    counts: Callable[[str], bool]
    usage: Callable[[Obj, float], Amounts]
    handles: Callable[[str, str, Obj, Obj | None], bool] = only_new
    missing: Callable[[Collection[str], Obj], str] = _anything
    matches: Callable[[View, Obj], bool] = matches_nothing
    frees_on_update: Callable[[Obj, Obj, float], bool] = lambda old, new, now: False

    def concerns(self, quota: Obj, hard: Collection[str], obj: Obj) -> bool:
        """Whether a quota over the names `hard` counts the object."""
        return any(self.counts(name) for name in hard) and self.is_in_scope(quota, obj)

    def is_in_scope(self, quota: Obj, obj: Obj) -> bool:
        """Whether all scopes of the quota mean the object."""
        return all(self.matches(selector, obj) for selector in selectors_of(quota))


def count_name(group_resource: str) -> str:
    """The name that counts objects of a kind: `count/deployments.apps`."""
    return f"count/{group_resource}"


def counting(*names: str) -> Evaluator:
    """The rules of a kind of which only the number counts, under these names."""
    usage = dict.fromkeys(names, ONE)
    return Evaluator(counts=lambda name: name in usage, usage=lambda obj, now: usage)
