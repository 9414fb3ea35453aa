"""Fills aggregated ClusterRoles, by server-side apply, so that the rules belong to this controller."""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.controllers.clusterroleaggregation.plan import aggregated_rules, is_aggregated
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES

_NAME = "clusterrole-aggregation-controller"


class AggregationReconciler:
    """Fills one role."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._roles = context.informers.of(CLUSTER_ROLES).indexer

    def role_changed(self, change: Change) -> Iterable[Key]:
        """Any role may be part of any aggregated one."""
        del change
        return [Key("", meta.name(role)) for role in self._roles.list() if is_aggregated(role)]

    async def reconcile(self, key: Key) -> Result:
        """Write the rules that the role lacks, or has too many of."""
        role = self._roles.get(key.name)
        if role is None or meta.is_deleting(role) or not is_aggregated(role):
            return Result.done()
        rules = aggregated_rules(role, self._roles.list())
        if rules != (role.get("rules") or []):
            wanted = {"metadata": {"name": key.name}, "rules": rules}
            await self._client.apply(CLUSTER_ROLES, wanted, manager=_NAME, force=True)
        return Result.done()


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    reconciler = AggregationReconciler(context)
    return Controller(_NAME, (Watch(CLUSTER_ROLES, reconciler.role_changed),), reconciler)


DESCRIPTOR = Descriptor(
    _NAME, _build, (CLUSTER_ROLES,), NoOptions, aliases=("clusterrole-aggregation",)
)
