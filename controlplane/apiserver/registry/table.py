"""Which strategy a kind has; the only list. A kind that is not named here has the plain one."""

from controlplane.api.resource import Resource
from controlplane.api.strategy import SpecStrategy, Strategy
from controlplane.apiserver.registry.kinds.data import DataStrategy, EventStrategy
from controlplane.apiserver.registry.kinds.namespace import NamespaceStrategy
from controlplane.apiserver.registry.kinds.pod import PodStrategy
from controlplane.apiserver.registry.kinds.service import ServiceStrategy
from controlplane.storage.interface import Storage

_BY_KIND: dict[str, type[Strategy]] = {
    "Pod": PodStrategy,
    "Namespace": NamespaceStrategy,
    "ConfigMap": DataStrategy,
    "Secret": DataStrategy,
    "Event": EventStrategy,
    "Deployment": SpecStrategy,
    "ReplicaSet": SpecStrategy,
    "StatefulSet": SpecStrategy,
    "DaemonSet": SpecStrategy,
    "Job": SpecStrategy,
    "CronJob": SpecStrategy,
    "Ingress": SpecStrategy,
    "NetworkPolicy": SpecStrategy,
    "PodDisruptionBudget": SpecStrategy,
    "CustomResourceDefinition": SpecStrategy,
}


def strategy_for(resource: Resource, storage: Storage, service_ip_range: str) -> Strategy:
    """The strategy of `resource`."""
    if resource.kind == "Service":
        return ServiceStrategy(resource, storage, service_ip_range)
    return _BY_KIND.get(resource.kind, Strategy)(resource)
