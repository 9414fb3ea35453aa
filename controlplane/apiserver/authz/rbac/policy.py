"""The roles and bindings that every cluster has, as data; not to be changed by those who read them."""

import json
from functools import cache
from importlib import resources

from controlplane.api.meta import Obj

_DATA = "controlplane.apiserver.authz.rbac.data"


@cache
def defaults() -> tuple[Obj, ...]:
    """All default roles and bindings: those of Kubernetes, then those of programs that only this product has."""
    files = [resources.files(_DATA).joinpath(name) for name in ("rbac.json", "own.json")]
    return tuple(one for file in files for one in json.loads(file.read_text(encoding="utf-8")))


@cache
def default_rules(cluster_role: str) -> tuple[Obj, ...]:
    """The rules of a default ClusterRole; KeyError when there is none of that name."""
    for one in defaults():
        if one["kind"] == "ClusterRole" and one["metadata"]["name"] == cluster_role:
            return tuple(one["rules"])
    raise KeyError(cluster_role)
