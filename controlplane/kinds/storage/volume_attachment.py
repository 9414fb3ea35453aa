"""VolumeAttachments: a volume that is to be attached to a node.

Sources: pkg/apis/storage/validation/validation.go, pkg/registry/storage/volumeattachment.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.table.standard import boolean, text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Shape
from controlplane.kinds.core import volume_sources
from controlplane.kinds.core.persistent_volume.kind import default_spec, validate_spec

VOLUME_ATTACHMENTS = Resource(
    "storage.k8s.io",
    "v1",
    "VolumeAttachment",
    "volumeattachments",
    namespaced=False,
    subresources=(STATUS,),
)

_MAX_METADATA_BYTES = 256 * 1024
_MAX_MESSAGE_BYTES = 1024
_SOURCE = Shape(
    (
        ("PersistentVolumeName", "persistentVolumeName", None),
        ("InlineVolumeSpec", "inlineVolumeSpec", None),
    )
)
_SPEC = Shape(
    (("Attacher", "attacher", ""), ("Source", "source", _SOURCE), ("NodeName", "nodeName", ""))
)
_ONE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def default(obj: Obj) -> None:
    """A volume that is described inline is completed as one of its own."""
    inline = (meta.spec(obj).get("source") or {}).get("inlineVolumeSpec")
    if isinstance(inline, dict):
        default_spec(inline)


def validate(obj: Obj) -> list[Cause]:
    """Causes in an attachment."""
    spec = meta.spec(obj)
    node, source = spec.get("nodeName") or "", spec.get("source") or {}
    causes = volume_sources.driver_name(spec.get("attacher"), "spec.attacher")
    causes += _source(source, "spec.source")
    causes += fields.each("spec.nodeName", node, names.dns_subdomain(node))
    causes += _status(meta.status(obj))
    volume = source.get("persistentVolumeName")
    if volume is not None:
        path = "spec.source.persistentVolumeName"
        causes += fields.each(path, volume, names.dns_subdomain(volume))
    return causes


def _source(source: Obj, path: str) -> list[Cause]:
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        return [fields.required(path, _ONE)]
    if inline is not None and volume is not None:
        return [fields.forbidden(path, _ONE)]
    if inline is not None:
        return validate_spec(inline, "", f"{path}.inlineVolumeSpec", is_inline=True)
    if not volume:
        detail = "must specify non empty persistentVolumeName"
        return [fields.required(f"{path}.persistentVolumeName", detail)]
    return []


def _status(status: Obj) -> list[Cause]:
    causes: list[Cause] = []
    noted = status.get("attachmentMetadata") or {}
    size = sum(len(key.encode()) + len(str(value).encode()) for key, value in noted.items())
    if size > _MAX_METADATA_BYTES:
        causes.append(fields.too_long("status.attachmentMetadata", _MAX_METADATA_BYTES))
    for key in ("attachError", "detachError"):
        error = status.get(key) or {}
        if len(str(error.get("message") or "").encode()) > _MAX_MESSAGE_BYTES:
            # Compat: the limit that is told is not the one that is kept.
            causes.append(fields.too_long(f"status.{key}.message", _MAX_METADATA_BYTES))
        code = error.get("errorCode")
        if code is not None and code < 0:
            detail = "must be between 0 and 2147483647, inclusive"
            causes.append(fields.invalid(f"status.{key}.errorCode", code, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed attachment: its spec stays."""
    if is_same(meta.spec(new), meta.spec(old)):
        return []
    return [fields.immutable("spec", _SPEC.of(meta.spec(new)))]


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in the status."""
    return validate(new) + validate_update(new, old)


def _attached(obj: Obj, now: float) -> bool:
    return bool(meta.status(obj).get("attached"))


COLUMNS = (
    NAME,
    Column(
        "Attacher",
        cells.field("spec.attacher"),
        format="name",
        description="The driver that does it.",
    ),
    text("PV", cells.field("spec.source.persistentVolumeName"), "The volume."),
    text("Node", cells.field("spec.nodeName"), "The node."),
    boolean("Attached", _attached, "Whether it is attached."),
    AGE,
)


class AttachmentStrategy(Strategy):
    """The rules of attachments."""

    returns_deleted = True

    allows_unconditional_update = False

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing is attached yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"attached": False}


KIND = Kind(
    VOLUME_ATTACHMENTS,
    strategy=AttachmentStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.CHANGED,
)
