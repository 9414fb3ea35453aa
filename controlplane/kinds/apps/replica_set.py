"""ReplicaSets: a number of equal pods."""

from controlplane.api.resource import SCALE, STATUS, Resource

REPLICA_SETS = Resource(
    "apps",
    "v1",
    "ReplicaSet",
    "replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    field_labels=("status.replicas",),
)
