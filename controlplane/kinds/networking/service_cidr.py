"""ServiceCIDRs: ranges that services get their addresses from.

Sources: pkg/apis/networking/validation/validation.go, pkg/registry/networking/servicecidr.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields

SERVICE_CIDRS = Resource(
    "networking.k8s.io",
    "v1",
    "ServiceCIDR",
    "servicecidrs",
    namespaced=False,
    subresources=(STATUS,),
)

_PATH = "spec.cidrs"


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new set of ranges: one, or one of each family."""
    ranges = meta.spec(obj).get("cidrs") or []
    if not ranges:
        return [fields.required(_PATH, "at least one CIDR required")]
    if len(ranges) > 2:
        shown = {"CIDRs": ranges}
        return [fields.invalid(_PATH, shown, "may only hold up to 2 values")]
    causes: list[Cause] = []
    for index, one in enumerate(ranges):
        causes += addresses.canonical_range(f"{_PATH}[{index}]", one)
    parsed = [found for found in map(addresses.parse_range, ranges) if found is not None]
    if len(parsed) == 2 and parsed[0][1].version == parsed[1][1].version:
        detail = (
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
            "2001:db8::/64"
        )
        causes.append(fields.invalid(_PATH, ranges, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed set: a second family may come, nothing else changes."""
    ranges = meta.spec(new).get("cidrs") or []
    before = meta.spec(old).get("cidrs") or []
    is_second = len(before) == 1 and len(ranges) == 2
    if len(ranges) != len(before) and not is_second:
        return [fields.immutable(_PATH, meta.spec(new).get("cidrs"))]
    causes = [
        fields.immutable(f"{_PATH}[{index}]", ranges[index])
        for index, one in enumerate(before)
        if ranges[index] != one
    ]
    return causes + (validate(new) if is_second else [])


def _ranges(obj: Obj, now: float) -> str:
    return ",".join(meta.spec(obj).get("cidrs") or ())


COLUMNS = (NAME, text("CIDRs", _ranges, "The ranges."), AGE)


class ServiceCidrStrategy(Strategy):
    """The rules of ranges."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nobody has looked at a new one yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}


KIND = Kind(
    SERVICE_CIDRS,
    strategy=ServiceCidrStrategy,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
)
