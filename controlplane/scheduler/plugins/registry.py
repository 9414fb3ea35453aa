"""Name -> plugin factory; the only list of plugins, with the weights of the default profile."""

from collections.abc import Callable, Mapping

from controlplane.client.rest import RestClient
from controlplane.scheduler.framework.interface import Plugin
from controlplane.scheduler.framework.runtime import Enabled, Framework
from controlplane.scheduler.plugins.default_binder import DefaultBinder
from controlplane.scheduler.plugins.node_affinity import NodeAffinity
from controlplane.scheduler.plugins.node_name import NodeName
from controlplane.scheduler.plugins.node_ports import NodePorts
from controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit
from controlplane.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controlplane.scheduler.plugins.taint_toleration import TaintToleration
from controlplane.scheduler.plugins.topology_spread import PodTopologySpread

Factory = Callable[[RestClient], Plugin]

REGISTRY: Mapping[str, Factory] = {
    "NodeUnschedulable": lambda client: NodeUnschedulable(),
    "NodeName": lambda client: NodeName(),
    "TaintToleration": lambda client: TaintToleration(),
    "NodeAffinity": lambda client: NodeAffinity(),
    "NodePorts": lambda client: NodePorts(),
    "NodeResourcesFit": lambda client: NodeResourcesFit(),
    "PodTopologySpread": lambda client: PodTopologySpread(),
    "DefaultBinder": lambda client: DefaultBinder(client),
}
"""In the order the filters run: cheap and decisive first."""

DEFAULT_WEIGHTS: Mapping[str, int] = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "PodTopologySpread": 2,
    "NodeResourcesFit": 1,
}
"""Upstream's weights; plugins not named have 1."""


def build_framework(client: RestClient, weights: Mapping[str, int] = DEFAULT_WEIGHTS) -> Framework:
    """The default profile."""
    return Framework(
        [Enabled(factory(client), weights.get(name, 1)) for name, factory in REGISTRY.items()]
    )
