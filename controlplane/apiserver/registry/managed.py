"""metadata.managedFields of plain writes: who owns which field, kept by `api.patch.apply`.

Kinds that are not tracked (`Kind.is_tracked`) leave no record.
"""

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.patch import apply
from controlplane.apiserver.requests.context import WriteContext


def track(kind: Kind, live: Obj | None, obj: Obj, context: WriteContext, now: str) -> None:
    """Record in `obj` what `context.manager` has changed since `live`."""
    if not kind.is_tracked:
        meta.ensure_metadata(obj).pop("managedFields", None)
    elif not context.is_apply:
        apply.track_update(
            live,
            obj,
            kind.schema,
            manager=context.manager,
            now=now,
            subresource=context.subresource,
            ignored=apply.ignored_fields(kind.resource.has_status(), context.subresource),
            zero=kind.zero(),
        )


def only_time_differs(obj: Obj, live: Obj) -> bool:
    """Whether nothing but the times (and revision) in the two objects' records differs."""
    return _timeless(obj) == _timeless(live)


def _timeless(obj: Obj) -> Obj:
    fields = {
        k: v for k, v in meta.metadata(obj).items() if k not in ("resourceVersion", "selfLink")
    }
    entries = fields.get("managedFields")
    if entries:
        fields["managedFields"] = [
            {k: v for k, v in entry.items() if k != "time"} for entry in entries
        ]
    else:
        fields.pop("managedFields", None)
    return {**obj, "metadata": fields}
