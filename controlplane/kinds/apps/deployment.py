"""Deployments: pods by way of ReplicaSets, with rollouts."""

from controlplane.api.resource import SCALE, STATUS, Resource

DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)
