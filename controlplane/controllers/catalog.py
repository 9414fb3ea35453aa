"""The only list of controllers: name -> factory."""

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.controllers.config import ControllersConfig
from controlplane.controllers.deployment import reconciler as deployment
from controlplane.controllers.framework.controller import Controller
from controlplane.controllers.framework.manager import Context, Factory
from controlplane.controllers.garbage import reconciler as garbage
from controlplane.controllers.namespace import reconciler as namespaces
from controlplane.controllers.nodelifecycle.reconciler import NodeReconciler
from controlplane.controllers.podgc.reconciler import PodGCReconciler
from controlplane.controllers.replicaset import reconciler as replicaset
from controlplane.controllers.serviceaccount.reconciler import NamespaceGiftsReconciler
from controlplane.controllers.tainteviction.reconciler import EvictionReconciler

Maker = Callable[[Context, ControllersConfig, str], Controller[Any]]


def _nodes(context: Context, config: ControllersConfig, root_ca: str) -> Controller[Any]:
    return NodeReconciler(
        context,
        grace_seconds=config.node_monitor_grace_period_seconds,
        startup_grace_seconds=config.node_startup_grace_period_seconds,
        eviction_rate=config.node_eviction_rate,
    ).controller()


def _eviction(context: Context, config: ControllersConfig, root_ca: str) -> Controller[Any]:
    return EvictionReconciler(
        context, default_toleration_seconds=config.default_toleration_seconds
    ).controller()


def _podgc(context: Context, config: ControllersConfig, root_ca: str) -> Controller[Any]:
    return PodGCReconciler(
        context,
        terminated_threshold=config.terminated_pod_gc_threshold,
        unreachable_seconds=config.unreachable_pod_force_delete_seconds,
    ).controller()


def _gifts(context: Context, config: ControllersConfig, root_ca: str) -> Controller[Any]:
    return NamespaceGiftsReconciler(context, root_ca=root_ca).controller()


REGISTRY: Mapping[str, Maker] = {
    "deployment": lambda context, config, root_ca: deployment.build(context),
    "replicaset": lambda context, config, root_ca: replicaset.build(context),
    "node-lifecycle": _nodes,
    "taint-eviction": _eviction,
    "pod-garbage": _podgc,
    "garbage": lambda context, config, root_ca: garbage.build(context),
    "namespace": lambda context, config, root_ca: namespaces.build(context),
    "namespace-gifts": _gifts,
}


def chosen(config: ControllersConfig, root_ca: str) -> list[Factory]:
    """The factories of the controllers the configuration asks for. Raises ValueError on unknown names."""
    names = config.controllers
    unknown = {name.lstrip("-") for name in names} - {"*", *REGISTRY}
    if unknown:
        known = ", ".join(REGISTRY)
        raise ValueError(f"--controllers: unknown: {', '.join(sorted(unknown))}; known: {known}")
    wanted = [
        maker
        for name, maker in REGISTRY.items()
        if f"-{name}" not in names and (name in names or "*" in names)
    ]
    return [_bind(maker, config, root_ca) for maker in wanted]


def _bind(maker: Maker, config: ControllersConfig, root_ca: str) -> Factory:
    return lambda context: maker(context, config, root_ca)
