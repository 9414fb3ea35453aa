"""ControllerRevisions: the templates a StatefulSet or DaemonSet had: pure.

A revision holds a patch that brings its template back, as upstream's do, so that `kubectl rollout undo` can apply it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.templates import digest, same, without_nothing

HASH_LABEL = "controller.kubernetes.io/hash"
_LONGEST_NAME = 223


def in_order(revisions: Sequence[Obj]) -> list[Obj]:
    """Lowest number first; age and names break ties."""
    return sorted(
        revisions,
        key=lambda r: (number_of(r), meta.creation_timestamp(r), meta.name(r)),
    )


def number_of(revision: Obj) -> int:
    """The revision's number."""
    return int(revision.get("revision") or 0)


def next_number(revisions: Sequence[Obj]) -> int:
    """One more than the highest."""
    return max((number_of(revision) for revision in revisions), default=0) + 1


def patch_of(owner: Obj) -> Obj:
    """What a revision of the owner's present template holds.

    Keys are in order, as upstream writes them: programs compare the bytes with what they make of the template.
    """
    template = {**(meta.spec(owner).get("template") or {}), "$patch": "replace"}
    ordered: Obj = _in_order_of_keys({"spec": {"template": template}})
    return ordered


def _in_order_of_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order_of_keys(value[key]) for key in sorted(value)}
    return [_in_order_of_keys(one) for one in value] if isinstance(value, list) else value


def new_revision(owner: Obj, number: int, collision_count: int, label: str = HASH_LABEL) -> Obj:
    """The revision of the owner's present template; `label` carries the hash."""
    data = patch_of(owner)
    text = digest(without_nothing(data), collision_count)
    template = meta.spec(owner).get("template") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{meta.name(owner)[:_LONGEST_NAME]}-{text}",
            "namespace": meta.namespace(owner),
            "labels": {**meta.labels(template), label: text},
            "annotations": dict(meta.annotations(owner)),
            "ownerReferences": [meta.controller_reference(owner)],
        },
        "data": data,
        "revision": number,
    }


def is_same(left: Obj, right: Obj) -> bool:
    """Whether two revisions bring back the same template."""
    return same(left.get("data") or {}, right.get("data") or {})


def applied(owner: Obj, revision: Obj) -> Obj:
    """The owner with the template the revision holds."""
    held = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    template = {name: value for name, value in held.items() if name != "$patch"}
    return {**owner, "spec": {**meta.spec(owner), "template": template}}


def surplus(revisions: Sequence[Obj], live: Collection[str], limit: int) -> list[Obj]:
    """The revisions beyond `limit` that no Pod has and that are not in `live` (names), oldest first."""
    idle = [revision for revision in in_order(revisions) if meta.name(revision) not in live]
    return idle[: max(0, len(idle) - limit)] if limit >= 0 else []
