"""Nodes: machines that run pods."""

from controlplane.api.resource import STATUS, Resource

NODES = Resource(
    "",
    "v1",
    "Node",
    "nodes",
    namespaced=False,
    short_names=("no",),
    storage="minions",
    subresources=(STATUS,),
    field_labels=("spec.unschedulable",),
)
