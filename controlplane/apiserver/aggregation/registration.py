"""The APIServices of custom resources: one for each group version that is served, none for one that is no more. Pure.

Those of the built-in groups are made at the start. One that somebody else has made is left alone.

Sources: pkg/controlplane/controller/crdregistration (priorities); kube-aggregator/pkg/controllers/autoregister (labels)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj

MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_GROUP_PRIORITY = 1000
_VERSION_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: objects to create, objects with the spec they should have, names to delete."""

    create: tuple[Obj, ...] = ()
    update: tuple[Obj, ...] = ()
    delete: tuple[Obj, ...] = ()


def wanted(group: str, version: str) -> Obj:
    """The APIService of a custom group version."""
    return {
        "metadata": {"name": f"{version}.{group}", "labels": {MANAGED: "true"}},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": _GROUP_PRIORITY,
            "versionPriority": _VERSION_PRIORITY,
        },
    }


def plan(served: Iterable[tuple[str, str]], existing: Iterable[Obj]) -> Plan:
    """From the custom group versions that are served, and all APIServices."""
    there = {meta.name(obj): obj for obj in existing}
    objects = [wanted(group, version) for group, version in served]
    create = tuple(obj for obj in objects if meta.name(obj) not in there)
    update = tuple(
        obj
        for obj in objects
        if (live := there.get(meta.name(obj))) is not None
        and _is_ours(live)
        and meta.spec(live) != obj["spec"]
    )
    names = {meta.name(obj) for obj in objects}
    delete = tuple(obj for name, obj in there.items() if name not in names and _is_ours(obj))
    return Plan(create, update, delete)


def _is_ours(obj: Obj) -> bool:
    return meta.labels(obj).get(MANAGED) == "true"
