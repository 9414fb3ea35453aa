"""Every plugin there is, in the order in which the points run them: the only list.

Filters go from cheap and decisive to dear. Weights are upstream's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.api.meta import View
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.interface import Plugin
from controlplane.scheduler.plugins.balanced_allocation import BalancedAllocation
from controlplane.scheduler.plugins.default_binder import DefaultBinder
from controlplane.scheduler.plugins.default_preemption import DefaultPreemption
from controlplane.scheduler.plugins.image_locality import ImageLocality
from controlplane.scheduler.plugins.interpod_affinity import InterPodAffinity
from controlplane.scheduler.plugins.node_affinity import NodeAffinity
from controlplane.scheduler.plugins.node_name import NodeName
from controlplane.scheduler.plugins.node_ports import NodePorts
from controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit
from controlplane.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controlplane.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from controlplane.scheduler.plugins.priority_sort import PrioritySort
from controlplane.scheduler.plugins.scheduling_gates import SchedulingGates
from controlplane.scheduler.plugins.taint_toleration import TaintToleration
from controlplane.scheduler.plugins.topology_spread import PodTopologySpread
from controlplane.scheduler.plugins.volume_binding import VolumeBinding
from controlplane.scheduler.plugins.volume_restrictions import VolumeRestrictions
from controlplane.scheduler.plugins.volume_zone import VolumeZone

Factory = Callable[[Handle, View], Plugin]


@dataclass(frozen=True, slots=True)
class Registered:
    """How a plugin is built from the handle and its arguments, and the weight its score has by default.

    The factory raises ValueError on arguments it does not understand.
    """

    build: Factory
    weight: int = 1


REGISTRY: Mapping[str, Registered] = {
    "SchedulingGates": Registered(lambda handle, args: SchedulingGates()),
    "PrioritySort": Registered(lambda handle, args: PrioritySort()),
    "NodeUnschedulable": Registered(lambda handle, args: NodeUnschedulable()),
    "NodeName": Registered(lambda handle, args: NodeName()),
    "TaintToleration": Registered(lambda handle, args: TaintToleration(), 3),
    "NodeAffinity": Registered(lambda handle, args: NodeAffinity(args), 2),
    "NodePorts": Registered(lambda handle, args: NodePorts()),
    "NodeResourcesFit": Registered(lambda handle, args: NodeResourcesFit(args)),
    "VolumeRestrictions": Registered(lambda handle, args: VolumeRestrictions(handle)),
    "NodeVolumeLimits": Registered(lambda handle, args: NodeVolumeLimits(handle)),
    "VolumeBinding": Registered(lambda handle, args: VolumeBinding(handle, args)),
    "VolumeZone": Registered(lambda handle, args: VolumeZone(handle)),
    "PodTopologySpread": Registered(lambda handle, args: PodTopologySpread(args), 2),
    "InterPodAffinity": Registered(lambda handle, args: InterPodAffinity(handle, args), 2),
    "DefaultPreemption": Registered(lambda handle, args: DefaultPreemption(handle, args)),
    "NodeResourcesBalancedAllocation": Registered(lambda handle, args: BalancedAllocation()),
    "ImageLocality": Registered(lambda handle, args: ImageLocality()),
    "DefaultBinder": Registered(lambda handle, args: DefaultBinder(handle.client)),
}
