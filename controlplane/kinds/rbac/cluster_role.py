"""ClusterRoles: what may be done in the whole cluster, or in any namespace where one is bound.

One with an aggregation rule is filled with the rules of those its selectors take, by a controller.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.kinds.rbac import rules

CLUSTER_ROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False
)


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        path = "aggregationRule.clusterRoleSelectors"
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            causes.append(fields.required(path, detail))
        for number, selector in enumerate(selectors):
            found = validate_selector(selector, f"{path}[{number}]")
            causes += found
            if found:
                causes.append(fields.invalid(f"{path}[{number}]", None, "invalid label selector."))
    return causes + rules.validate(obj, is_namespaced=False)


KIND = Kind(
    CLUSTER_ROLES,
    strategy=rules.RbacStrategy,
    default=rules.default,
    validate=_validate,
    validate_name=names.path_segment,
    columns=rules.COLUMNS,
)
