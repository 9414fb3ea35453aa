"""What a quota's status should say. Pure.

Source: pkg/controller/resourcequota/resource_quota_controller.go (syncResourceQuota, addQuota).
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.quota.amounts import Amounts, is_same, parsed, written


def lacks_usage(quota: Obj) -> bool:
    """Whether the status does not speak of all that the spec bounds: such quotas are counted first."""
    hard, status = meta.spec(quota).get("hard"), meta.status(quota)
    if not is_same(parsed(hard), parsed(status.get("hard"))):
        return True
    used = status.get("used") or {}
    return any(name not in used for name in hard or ())


def status_of(quota: Obj, counted: Amounts) -> Obj | None:
    """The status to write, when `counted` is in use; None when it stands there.

    What could not be counted now stays as it was counted before.
    """
    spec, status = meta.spec(quota), meta.status(quota)
    hard = parsed(spec.get("hard"))
    before = parsed(status.get("used"))
    used = {name: amount for name, amount in {**before, **counted}.items() if name in hard}
    is_told = status.get("hard") is not None and status.get("used") is not None
    if is_told and is_same(hard, parsed(status.get("hard"))) and is_same(used, before):
        return None
    return {"hard": written(hard), "used": written(used)}


def gives_back(quota: Obj, status: Obj) -> bool:
    """Whether `status` says of some name that less is used than before."""
    before, after = parsed(meta.status(quota).get("used")), parsed(status.get("used"))
    return any(
        name in after and after[name].number < amount.number for name, amount in before.items()
    )
