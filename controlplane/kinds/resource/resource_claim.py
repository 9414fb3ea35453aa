"""ResourceClaims: devices that somebody needs.

Source: pkg/apis/resource/validation/validation.go, pkg/registry/resource/resourceclaim/strategy.go.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.kinds.resource import claim_status, requests

RESOURCE_CLAIMS = Resource(
    "resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", subresources=(STATUS,)
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    requests.default_spec(part(obj, "spec"))


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new claim."""
    return requests.validate_spec(meta.spec(obj), "spec")


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed claim: its spec stays."""
    if is_same(meta.spec(new), meta.spec(old)):
        return []
    return [fields.immutable("spec", requests.SPEC.of(meta.spec(new)))]


def _state(obj: Obj, now: float) -> str:
    status, words = meta.status(obj), []
    if meta.is_deleting(obj):
        words.append("deleted")
    if status.get("allocation") is not None:
        words.append("allocated")
        if status.get("reservedFor"):
            words.append("reserved")
    elif not words:
        words.append("pending")
    return ",".join(words)


class ClaimStrategy(Strategy):
    """The rules of claims."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing is allocated yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """Forget what drivers said of devices that were given back."""
        super().prepare_for_status_update(obj, live)
        status = obj.get("status")
        if not isinstance(status, dict):
            return
        kept = _devices(status)
        gone = _devices(meta.status(live)) - kept
        if gone and status.get("devices"):
            status["devices"] = [row for row in status["devices"] if _device(row) not in gone]


def _device(row: Obj) -> tuple[str, ...]:
    return tuple(str(row.get(key) or "") for key in ("driver", "pool", "device", "shareID"))


def _devices(status: Obj) -> set[tuple[str, ...]]:
    results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
    return {_device(row) for row in results}


KIND = Kind(
    RESOURCE_CLAIMS,
    strategy=ClaimStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=claim_status.validate,
    columns=(NAME, text("State", _state, "Whether it has its devices."), AGE),
)
