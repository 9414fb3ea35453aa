"""Which rules count which kind.

Sources: pkg/quota/v1/evaluator/core/registry.go, pkg/quota/v1/install/registry.go.
"""

from __future__ import annotations

from controlplane.api.resource import Resource
from controlplane.kinds.core.quota import claims, devices, pods, services
from controlplane.kinds.core.quota.evaluator import Evaluator, count_name, counting

_SPECIAL = {
    "pods": pods.EVALUATOR,
    "services": services.EVALUATOR,
    "persistentvolumeclaims": claims.EVALUATOR,
    "resourceclaims.resource.k8s.io": devices.EVALUATOR,
    # Kinds that had names of their own before `count/`.
    **{
        name: counting(count_name(name), name)
        for name in ("configmaps", "resourcequotas", "replicationcontrollers", "secrets")
    },
}
_NOT_COUNTED = frozenset(
    (
        "bindings",
        "componentstatuses",
        "events",
        "events.events.k8s.io",
        "tokenreviews.authentication.k8s.io",
        "selfsubjectreviews.authentication.k8s.io",
        "subjectaccessreviews.authorization.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "localsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
    )
)


def evaluator_of(resource: Resource) -> Evaluator | None:
    """The rules of a kind; None for kinds that no quota counts."""
    name = resource.group_resource
    if not resource.namespaced or name in _NOT_COUNTED:
        return None
    return _SPECIAL.get(name) or counting(count_name(name))
