"""What quotas count of PersistentVolumeClaims, in all and by storage class.

Source: pkg/quota/v1/evaluator/core/persistent_volume_claims.go.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume_claim import storage_class_of
from controlplane.kinds.core.quota.amounts import ONE, Amount, Amounts, parsed
from controlplane.kinds.core.quota.evaluator import Evaluator, count_name, new_or_changed
from controlplane.kinds.core.quota.scopes import matches_claim, volume_classes

_OBJECTS = count_name("persistentvolumeclaims")
_CLAIMS, _STORAGE = "persistentvolumeclaims", "requests.storage"
_BY_CLASS = ".storageclass.storage.k8s.io/"


def _counts(name: str) -> bool:
    if name in (_OBJECTS, _CLAIMS, _STORAGE):
        return True
    return name.endswith((_BY_CLASS + _CLAIMS, _BY_CLASS + _STORAGE))


def _usage(claim: Obj, now: float) -> Amounts:
    usage = {_OBJECTS: ONE, _CLAIMS: ONE}
    storage = _storage(claim)
    if storage is not None:
        usage[_STORAGE] = storage
    name = storage_class_of(claim)
    if name:
        usage[name + _BY_CLASS + _CLAIMS] = ONE
        if storage is not None:
            usage[name + _BY_CLASS + _STORAGE] = storage
    return usage


def _storage(claim: Obj) -> Amount | None:
    """What is asked for, or what is being given, if that is more; in whole bytes."""
    asked = parsed((meta.spec(claim).get("resources") or {}).get("requests")).get("storage")
    if asked is None:
        return None
    given = parsed(meta.status(claim).get("allocatedResources")).get("storage")
    if given is not None and given.number > asked.number:
        asked = given
    return Amount(Fraction(ceil(asked.number)), asked.style)


def _has_changed(old: Obj, new: Obj) -> bool:
    """Whether what the status says of size or class changes what counts."""
    before, after = (
        (meta.status(claim).get("allocatedResources") or {}).get("storage") for claim in (old, new)
    )
    return before != after or volume_classes(old) != volume_classes(new)


def _handles(operation: str, subresource: str, obj: Obj, old: Obj | None) -> bool:
    if subresource == "status":
        return old is not None and _has_changed(old, obj)
    return new_or_changed(operation, subresource, obj, old)


EVALUATOR = Evaluator(
    counts=_counts,
    usage=_usage,
    handles=_handles,
    matches=matches_claim,
    frees_on_update=lambda old, new, now: _has_changed(old, new),
)
