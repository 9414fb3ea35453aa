"""PersistentVolumes: rules of the spec, in objects and inline in attachments; defaults, columns, warnings.

Sources: pkg/apis/core/validation/validation.go (ValidatePersistentVolumeSpec), pkg/apis/core/v1/defaults.go,
pkg/volume/validation/pv_validation.go, pkg/api/persistentvolume/util.go, pkg/registry/core/persistentvolume.
"""

from __future__ import annotations

from controlplane.api import meta, names, quantity
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import or_text, text
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Items, Pointer, Shape, difference
from controlplane.kinds.core import node_selector
from controlplane.kinds.core import persistent_volume_claim as claims
from controlplane.kinds.core.persistent_volume import sources

PERSISTENT_VOLUMES = Resource(
    "",
    "v1",
    "PersistentVolume",
    "persistentvolumes",
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
)

_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_MOUNTABLE = (
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
)
_DEPRECATED = {
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "photonPersistentDisk": (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_INLINE = "may not be specified in the context of inline volumes"

_REQUIREMENT = Shape((("Key", "key", ""), ("Operator", "operator", ""), ("Values", "values", None)))
_TERM = Shape(
    (
        ("MatchExpressions", "matchExpressions", Items(_REQUIREMENT)),
        ("MatchFields", "matchFields", Items(_REQUIREMENT)),
    )
)
NODE_SELECTOR = Shape((("NodeSelectorTerms", "nodeSelectorTerms", Items(_TERM)),))
_NODE_AFFINITY = Shape((("Required", "required", Pointer(NODE_SELECTOR)),))


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    default_spec(part(obj, "spec"))
    set_missing(part(obj, "status"), "phase", "Pending")


def default_spec(spec: Obj) -> None:
    """Fill in what was left out of the spec."""
    set_missing(spec, "persistentVolumeReclaimPolicy", "Retain")
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    amounts.canonical_quantities(spec, "capacity")
    sources.default_sources(spec)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new volume."""
    return _named_spec(obj, allows_invalid_values=False) + _mount_options(obj)


def _named_spec(obj: Obj, *, allows_invalid_values: bool) -> list[Cause]:
    return validate_spec(
        meta.spec(obj), meta.name(obj), "spec", allows_invalid_values=allows_invalid_values
    )


def _mount_options(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    is_mountable = any(spec.get(key) is not None for key in _MOUNTABLE)
    if is_mountable or _MOUNT_OPTIONS not in meta.annotations(obj):
        return []
    detail = "may not specify mount options for this volume type"
    return [fields.forbidden(f"metadata.annotations.{_MOUNT_OPTIONS}", detail)]


def validate_spec(
    spec: Obj,
    name: str,
    path: str,
    *,
    is_inline: bool = False,
    allows_invalid_values: bool = False,
) -> list[Cause]:
    """Causes in the spec of a volume.

    `is_inline`: the spec stands in a VolumeAttachment and describes a volume of CSI without an object of its own.
    `allows_invalid_values` keeps what was stored with label values that are none.
    """
    causes = _inline(spec, path) if is_inline else []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(fields.required(f"{path}.accessModes"))
    causes += claims.validate_access_modes(modes, f"{path}.accessModes")
    if not is_inline:
        causes += _capacity(spec, f"{path}.capacity")
    causes += _reclaim_policy(spec, f"{path}.persistentVolumeReclaimPolicy", is_inline)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        causes += _affinity(affinity, f"{path}.nodeAffinity", is_inline, allows_invalid_values)
    causes += sources.validate_sources(path, spec, name)
    return causes + _classes(spec, path, is_inline)


def _inline(spec: Obj, path: str) -> list[Cause]:
    causes = [
        fields.forbidden(f"{path}.{key}", _INLINE)
        for key in ("claimRef", "capacity")
        if spec.get(key)
    ]
    if spec.get("csi") is None:
        detail = "has to be specified in the context of inline volumes"
        causes.append(fields.required(f"{path}.csi", detail))
    return causes


def _capacity(spec: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    capacity = spec.get("capacity") or {}
    if not capacity:
        causes.append(fields.required(path))
    if "storage" not in capacity or len(capacity) > 1:
        shown = dict(sorted(capacity.items())) if spec.get("capacity") is not None else None
        causes.append(fields.not_supported(path, shown, ("storage",)))
    for name, value in capacity.items():
        if not quantity.is_valid(value):
            continue
        where, amount = f"{path}[{name}]", quantity.parse(value)
        causes += amounts.non_negative_quantity(where, value)
        if amount <= 0:
            size = quantity.canonical(value)
            causes.append(fields.invalid(where, size, "must be greater than zero"))
    return causes


def _reclaim_policy(spec: Obj, path: str, is_inline: bool) -> list[Cause]:
    policy = spec.get("persistentVolumeReclaimPolicy")
    if not policy:
        return []
    if is_inline:
        detail = "may only be Retain in the context of inline volumes"
        return [] if policy == "Retain" else [fields.forbidden(path, detail)]
    if policy in _RECLAIM_POLICIES:
        return []
    return [fields.not_supported(path, policy, _RECLAIM_POLICIES)]


def _affinity(
    affinity: Obj, path: str, is_inline: bool, allows_invalid_values: bool
) -> list[Cause]:
    if is_inline:
        return [fields.forbidden(path, _INLINE)]
    required = affinity.get("required")
    if required is None:
        detail = "must specify required node constraints"
        return [fields.required(f"{path}.required", detail)]
    return node_selector.validate_node_selector(
        f"{path}.required", required, allows_invalid_values=allows_invalid_values
    )


def _classes(spec: Obj, path: str, is_inline: bool) -> list[Cause]:
    causes: list[Cause] = []
    storage_class = spec.get("storageClassName")
    if storage_class:
        where = f"{path}.storageClassName"
        problems = names.dns_subdomain(storage_class)
        causes += (
            [fields.forbidden(where, _INLINE)]
            if is_inline
            else fields.each(where, storage_class, problems)
        )
    mode, where = spec.get("volumeMode"), f"{path}.volumeMode"
    if mode is not None and is_inline and mode != "Filesystem":
        detail = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        causes.append(fields.forbidden(where, detail))
    if mode is not None and not is_inline and mode not in claims.VOLUME_MODES:
        causes.append(fields.not_supported(where, mode, claims.VOLUME_MODES))
    attributes, where = spec.get("volumeAttributesClassName"), f"{path}.volumeAttributesClassName"
    if attributes is not None:
        if not attributes:
            causes.append(fields.required(where, "an empty string is disallowed"))
        else:
            causes += fields.each(where, attributes, names.dns_subdomain(attributes))
        if spec.get("csi") is None:
            detail = "has to be specified when using volumeAttributesClassName"
            causes.append(fields.required(f"{path}.csi", detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed volume; upstream reports those of the spec twice."""
    fresh, before = meta.spec(new), meta.spec(old)
    selector = (before.get("nodeAffinity") or {}).get("required")
    was_bad = (
        selector is not None
        and bool(node_selector.validate_node_selector("", selector))
        and not node_selector.validate_node_selector("", selector, allows_invalid_values=True)
    )
    found = _named_spec(new, allows_invalid_values=was_bad)
    causes = found + _mount_options(new) + found
    if not is_same(_source(fresh, before), _source(before, before)):
        shown = difference(_source(before, before), _source(fresh, before))
        detail = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        causes.append(fields.forbidden("spec.persistentvolumesource", detail))
    if fresh.get("volumeMode") != before.get("volumeMode"):
        causes.append(fields.immutable("volumeMode", fresh.get("volumeMode")))
    causes += _affinity_kept(fresh, before)
    key = "volumeAttributesClassName"
    if before.get(key) is not None and fresh.get(key) is None:
        detail = "update from non-nil value to nil is forbidden"
        causes.append(fields.forbidden(f"spec.{key}", detail))
    return causes


def _source(spec: Obj, before: Obj) -> Obj:
    """The source; a secret for growing may be added once."""
    source = {key: spec[key] for key in sources.FIELDS if spec.get(key) is not None}
    key = "controllerExpandSecretRef"
    if "csi" in source and before.get("csi") is not None and before["csi"].get(key) is None:
        source["csi"] = {name: value for name, value in source["csi"].items() if name != key}
    return source


def _affinity_kept(fresh: Obj, before: Obj) -> list[Cause]:
    """The node affinity may be set once, and its labels may move to their stable names."""
    affinity, old = fresh.get("nodeAffinity"), before.get("nodeAffinity")
    if old is None or is_same(_stable(affinity, old), old):
        return []
    shown = None if affinity is None else _NODE_AFFINITY.of(affinity)
    detail = "field is immutable, except for updating from beta label to GA"
    return [fields.invalid("nodeAffinity", shown, detail)]


def _stable(affinity: Obj | None, old: Obj) -> Obj | None:
    """The new affinity under the old one's labels where those were only renamed."""
    rows, old_rows = _rows(affinity), _rows(old)
    if affinity is None or len(rows) != len(old_rows):
        return affinity
    keys = [
        before.get("key")
        if node_selector.BETA_TO_STABLE.get(str(before.get("key"))) == row.get("key")
        else row.get("key")
        for row, before in zip(rows, old_rows, strict=True)
    ]
    renamed = meta.copy_of(affinity)
    for row, key in zip(_rows(renamed), keys, strict=True):
        row["key"] = key
    return renamed


def _rows(affinity: Obj | None) -> list[Obj]:
    terms = ((affinity or {}).get("required") or {}).get("nodeSelectorTerms") or []
    return [row for term in terms for row in term.get("matchExpressions") or ()]


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and should not be written any more, or does not work any more."""
    del old
    spec = meta.spec(obj)
    found = [
        f"metadata.annotations[{key}]: {words}"
        for key, words in (
            (
                claims.BETA_CLASS,
                'deprecated since v1.8; use "storageClassName" attribute instead',
            ),
            (_MOUNT_OPTIONS, 'deprecated since v1.31; use "mountOptions" attribute instead'),
        )
        if key in meta.annotations(obj)
    ]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
            "Instead, the recommended approach is to use dynamic provisioning."
        )
    selector = (spec.get("nodeAffinity") or {}).get("required")
    found += node_selector.warnings("spec.nodeAffinity.required", selector)
    found += [
        f"spec.{shown}: {words}"
        for key, (shown, words) in _DEPRECATED.items()
        if spec.get(key) is not None
    ]
    return found


def _size(obj: Obj, now: float) -> str:
    return str((meta.spec(obj).get("capacity") or {}).get("storage") or "0")


def _modes(obj: Obj, now: float) -> str:
    return claims.short_modes(meta.spec(obj).get("accessModes"))


def _claim(obj: Obj, now: float) -> str:
    reference = meta.spec(obj).get("claimRef")
    if reference is None:
        return ""
    return f"{reference.get('namespace') or ''}/{reference.get('name') or ''}"


COLUMNS = (
    NAME,
    text("Capacity", _size, "The size of the volume."),
    text("Access Modes", _modes, "How the volume can be mounted."),
    text(
        "Reclaim Policy",
        cells.field("spec.persistentVolumeReclaimPolicy"),
        "What happens to it when its claim goes.",
    ),
    text("Status", claims.phase_cell, "The phase the volume is in."),
    text("Claim", _claim, "The claim it is bound to."),
    text("StorageClass", claims.class_cell, "The storage class it belongs to."),
    text(
        "VolumeAttributesClass",
        or_text("spec.volumeAttributesClassName", "<unset>"),
        "The volume attributes class it has.",
    ),
    text("Reason", cells.field("status.reason"), "Why it failed."),
    AGE,
    text("VolumeMode", or_text("spec.volumeMode", "<unset>"), "Files or blocks.", is_wide=True),
)


class VolumeStrategy(Strategy):
    """The rules of volumes."""

    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new volume is pending from the moment of its creation."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Pending"}
        created = meta.creation_timestamp(obj)
        if created:
            obj["status"]["lastPhaseTransitionTime"] = created


KIND = Kind(
    PERSISTENT_VOLUMES,
    strategy=VolumeStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.CHANGED,
)
