"""Which keys an answer contradicts, so that the search goes back to a choice that could have made a difference.

A set of keys, or None for "could be any". What is in doubt goes into the set: too large a set costs time, too small a
one would cost the right verdict.
"""

from kvstore.testing.check.facts import deletes, puts, shown
from kvstore.testing.history.records import Operation, Range, RangeReply, Txn, TxnReply

Keys = frozenset[bytes] | None


def union(one: Keys, other: Keys) -> Keys:
    """Keys of both."""
    return None if one is None or other is None else one | other


def touched(operation: Operation) -> Keys:
    """Keys that an operation may change, on either branch."""
    return _written(operation.request)


def needed(operation: Operation) -> Keys:
    """Keys that decide what an operation does, and those it may change."""
    return union(_written(operation.request), _compared(operation.request))


def differing(request: object, wanted: object, answer: object) -> Keys:
    """Keys whose state decides whether `request` is answered by `wanted` instead of `answer`."""
    if isinstance(request, Range):
        return _shown_apart(request, wanted, answer)
    if isinstance(request, Txn):
        compared = _compared(request)
        if isinstance(wanted, TxnReply) and isinstance(answer, TxnReply):
            if wanted.succeeded != answer.succeeded:
                return compared
            branch = request.success if wanted.succeeded else request.failure
            keys: Keys = frozenset()
            for one, left, right in zip(branch, wanted.responses, answer.responses, strict=False):
                if left != right:
                    keys = union(keys, differing(one, left, right))
            return keys or None
        return union(compared, _written(request))
    return _written(request) or None


def _shown_apart(request: Range, wanted: object, answer: object) -> Keys:
    if not request.range_end:
        return frozenset((request.key,))
    if request.limit or not isinstance(wanted, RangeReply) or not isinstance(answer, RangeReply):
        return None
    left = {kv for kv, _ in shown(request, wanted)}
    right = {kv for kv, _ in shown(request, answer)}
    return frozenset(kv.key for kv in left ^ right) or None


def _written(request: object) -> Keys:
    keys = {put.key for put in puts(request)}
    for one in deletes(request):
        if one.range_end:
            return None
        keys.add(one.key)
    return frozenset(keys)


def _compared(request: object) -> Keys:
    if not isinstance(request, Txn):
        return frozenset()
    keys: Keys = frozenset()
    for compare in request.compares:
        keys = union(keys, None if compare.range_end else frozenset((compare.key,)))
    for one in request.success + request.failure:
        keys = union(keys, _compared(one))
    return keys
