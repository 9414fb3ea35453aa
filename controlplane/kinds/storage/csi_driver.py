"""CSIDrivers: what a driver of volumes wants of the cluster.

Sources: pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go, pkg/registry/storage/csidriver.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME, Cell
from controlplane.api.table.standard import boolean, text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same

CSI_DRIVERS = Resource("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False)

_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}
_FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")
_LEAST_PERIOD_SECONDS = 10
_LEAST_TOKEN_SECONDS = 600
_MOST_TOKEN_SECONDS = 2**32
_TOKENS_IN_SECRETS = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
_WARNING = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to "
    "prevent possible logging of tokens in volume attributes"
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    for key, value in _DEFAULTS.items():
        if spec.get(key) is None:
            spec[key] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def validate(obj: Obj) -> list[Cause]:
    """Causes in a driver."""
    spec = meta.spec(obj)
    # Compat: upstream calls the field attachRequired by another name.
    wanted = (
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    )
    causes = [fields.required(f"spec.{shown}") for key, shown in wanted if spec.get(key) is None]
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in _FS_GROUP_POLICIES:
        causes.append(fields.not_supported("spec.fsGroupPolicy", policy, _FS_GROUP_POLICIES))
    causes += _token_requests(spec.get("tokenRequests") or [])
    causes += [
        fields.not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
        for mode in spec.get("volumeLifecycleModes") or ()
        if mode not in _LIFECYCLES
    ]
    if spec.get("seLinuxMount") is None:
        causes.append(fields.required("spec.seLinuxMount"))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < _LEAST_PERIOD_SECONDS:
        path = "spec.nodeAllocatableUpdatePeriodSeconds"
        detail = "must be greater than or equal to 10 seconds"
        causes.append(fields.invalid(path, period, detail))
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not spec.get("tokenRequests"):
        path = "spec.serviceAccountTokenInSecrets"
        causes.append(fields.invalid(path, in_secrets, _TOKENS_IN_SECRETS))
    return causes


def _token_requests(requests: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{index}]", request.get("audience") or ""
        if audience in seen:
            causes.append(fields.duplicate(f"{path}.audience", audience))
            continue
        seen.add(audience)
        seconds, where = request.get("expirationSeconds"), f"{path}.expirationSeconds"
        if seconds is None:
            continue
        if seconds < _LEAST_TOKEN_SECONDS:
            detail = "may not specify a duration less than 10 minutes"
            causes.append(fields.invalid(where, seconds, detail))
        if seconds > _MOST_TOKEN_SECONDS:
            detail = "may not specify a duration larger than 2^32 seconds"
            causes.append(fields.invalid(where, seconds, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed driver: how volumes are attached and live stays."""
    causes = validate(new)
    for key, shown in (
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ):
        value = meta.spec(new).get(key)
        if not is_same(value, meta.spec(old).get(key)):
            causes.append(fields.immutable(f"spec.{shown}", value))
    return causes


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Tokens that may be seen in logs."""
    spec, before = meta.spec(obj), meta.spec(old or {})
    requests = spec.get("tokenRequests")
    is_news = old is None or not is_same(requests, before.get("tokenRequests"))
    if requests and is_news and spec.get("serviceAccountTokenInSecrets") is None:
        return [_WARNING]
    return []


def _flag(key: str) -> Cell:
    def cell(obj: Obj, now: float) -> bool:
        value = meta.spec(obj).get(key)
        return bool(_DEFAULTS[key]) if value is None else bool(value)

    return cell


def _audiences(obj: Obj, now: float) -> str:
    requests = meta.spec(obj).get("tokenRequests")
    if requests is None:
        return "<unset>"
    return ",".join(str(request.get("audience") or "") for request in requests)


def _modes(obj: Obj, now: float) -> str:
    return ",".join(meta.spec(obj).get("volumeLifecycleModes") or ()) or "<none>"


COLUMNS = (
    NAME,
    boolean("AttachRequired", _flag("attachRequired"), "Whether volumes are attached first."),
    boolean("PodInfoOnMount", _flag("podInfoOnMount"), "Whether it is told the pod."),
    boolean("StorageCapacity", _flag("storageCapacity"), "Whether it says how much is left."),
    text("TokenRequests", _audiences, "Audiences of the tokens it is given."),
    boolean("RequiresRepublish", _flag("requiresRepublish"), "Whether it is called again."),
    text("Modes", _modes, "How volumes may live."),
    AGE,
)


class DriverStrategy(Strategy):
    """The rules of drivers."""

    returns_deleted = True

    allows_unconditional_update = False

    def prepare_for_create(self, obj: Obj) -> None:
        """One field is behind a gate that is off."""
        super().prepare_for_create(obj)
        part(obj, "spec").pop("preventPodSchedulingIfMissing", None)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Keep that field only where it is stored already."""
        super().prepare_for_update(obj, live)
        if meta.spec(live).get("preventPodSchedulingIfMissing") is None:
            part(obj, "spec").pop("preventPodSchedulingIfMissing", None)


KIND = Kind(
    CSI_DRIVERS,
    strategy=DriverStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
