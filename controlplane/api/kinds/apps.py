"""Rows of the apps group: Deployment and ReplicaSet."""

from __future__ import annotations

from controlplane.api.kinds.core import STATUS
from controlplane.api.resource import READ_WRITE, Resource, Subresource

_SCALE = Subresource("scale", READ_WRITE, kind="Scale", group="autoscaling", version="v1")

ROWS = (
    Resource(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        short_names=("deploy",),
        categories=("all",),
        subresources=(_SCALE, STATUS),
    ),
    Resource(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        short_names=("rs",),
        categories=("all",),
        subresources=(_SCALE, STATUS),
        field_labels=("status.replicas",),
    ),
)
