"""Functions of lists: Kubernetes' list library and CEL's sets.

Source: k8s.io/apiserver/pkg/cel/library/lists.go and cel-go's ext/sets.go.
"""

import datetime
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from controlplane.api.cel.tagged import FunctionError


def is_sorted(items: Sequence[Any]) -> bool:
    """Whether no item is greater than the next."""
    return all(not _less(after, before) for before, after in pairwise(items))


def total(items: Sequence[Any]) -> Any:
    """The sum of numbers or durations; 0 for none."""
    if not items:
        return 0
    if all(isinstance(item, datetime.timedelta) for item in items):
        return sum(items, datetime.timedelta())
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in items):
        raise FunctionError("no such overload: sum")
    return sum(items)


def smallest(items: Sequence[Any]) -> Any:
    """The least item; FunctionError for none."""
    return _extreme(items, "min", lambda a, b: _less(b, a))


def largest(items: Sequence[Any]) -> Any:
    """The greatest item; FunctionError for none."""
    return _extreme(items, "max", _less)


def _extreme(items: Sequence[Any], name: str, is_better: Any) -> Any:
    if not items:
        raise FunctionError(f"{name} called on empty list")
    found = items[0]
    for item in items[1:]:
        if is_better(found, item):
            found = item
    return found


def _less(left: Any, right: Any) -> bool:
    if isinstance(left, str) != isinstance(right, str):
        raise FunctionError("no such overload")
    try:
        return bool(left < right)
    except TypeError as error:
        raise FunctionError("no such overload") from error


def index_of(items: Sequence[Any], item: Any) -> int:
    """Where `item` stands first; -1 for nowhere."""
    return next((number for number, found in enumerate(items) if _equal(found, item)), -1)


def last_index_of(items: Sequence[Any], item: Any) -> int:
    """Where `item` stands last; -1 for nowhere."""
    back = index_of(list(reversed(items)), item)
    return -1 if back < 0 else len(items) - 1 - back


def _equal(left: Any, right: Any) -> bool:
    """CEL's equality: numbers of all types compare by value, true is no number."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def contains_all(whole: Sequence[Any], part: Sequence[Any]) -> bool:
    """Whether each item of `part` is in `whole`."""
    return all(any(_equal(one, other) for other in whole) for one in part)


def intersect(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether the lists have an item in common."""
    return any(_equal(one, other) for one in left for other in right)


def equivalent(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether both lists have the same items, whatever their number and order."""
    return contains_all(left, right) and contains_all(right, left)
