"""Every controller there is: the only list. What a controller is stands in its own folder."""

from typing import Any

from controlplane.controllers.attachdetach import reconciler as attachdetach
from controlplane.controllers.clusterroleaggregation import (
    reconciler as clusterroleaggregation,
)
from controlplane.controllers.cronjob import reconciler as cronjob
from controlplane.controllers.csrapproving import reconciler as csrapproving
from controlplane.controllers.csrcleaner import reconciler as csrcleaner
from controlplane.controllers.csrsigning import reconciler as csrsigning
from controlplane.controllers.daemonset import reconciler as daemonset
from controlplane.controllers.deployment import reconciler as deployment
from controlplane.controllers.disruption import reconciler as disruption
from controlplane.controllers.endpoints import reconciler as endpoints
from controlplane.controllers.endpointslice import reconciler as endpointslice
from controlplane.controllers.endpointslicemirroring import reconciler as endpointslicemirroring
from controlplane.controllers.ephemeralvolume import reconciler as ephemeralvolume
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.garbage import reconciler as garbage
from controlplane.controllers.hpa import reconciler as hpa
from controlplane.controllers.job import reconciler as job
from controlplane.controllers.namespace import reconciler as namespace
from controlplane.controllers.nodelifecycle import reconciler as nodelifecycle
from controlplane.controllers.podgc import reconciler as podgc
from controlplane.controllers.pvbinder import reconciler as pvbinder
from controlplane.controllers.pvcprotection import reconciler as pvcprotection
from controlplane.controllers.pvexpander import reconciler as pvexpander
from controlplane.controllers.pvprotection import reconciler as pvprotection
from controlplane.controllers.replicaset import reconciler as replicaset
from controlplane.controllers.replicationcontroller import reconciler as replicationcontroller
from controlplane.controllers.resourcequota import reconciler as resourcequota
from controlplane.controllers.rootca import reconciler as rootca
from controlplane.controllers.serviceaccount import reconciler as serviceaccount
from controlplane.controllers.statefulset import reconciler as statefulset
from controlplane.controllers.tainteviction import reconciler as tainteviction
from controlplane.controllers.ttlafterfinished import reconciler as ttlafterfinished
from controlplane.controllers.vacprotection import reconciler as vacprotection
from controlplane.controllers.validatingadmissionpolicystatus import (
    reconciler as validatingadmissionpolicystatus,
)

CONTROLLERS: tuple[Descriptor[Any], ...] = (
    attachdetach.DESCRIPTOR,
    clusterroleaggregation.DESCRIPTOR,
    cronjob.DESCRIPTOR,
    csrapproving.DESCRIPTOR,
    csrcleaner.DESCRIPTOR,
    csrsigning.DESCRIPTOR,
    daemonset.DESCRIPTOR,
    deployment.DESCRIPTOR,
    disruption.DESCRIPTOR,
    endpoints.DESCRIPTOR,
    endpointslice.DESCRIPTOR,
    endpointslicemirroring.DESCRIPTOR,
    ephemeralvolume.DESCRIPTOR,
    garbage.DESCRIPTOR,
    hpa.DESCRIPTOR,
    job.DESCRIPTOR,
    namespace.DESCRIPTOR,
    nodelifecycle.DESCRIPTOR,
    podgc.DESCRIPTOR,
    pvbinder.DESCRIPTOR,
    pvcprotection.DESCRIPTOR,
    pvexpander.DESCRIPTOR,
    pvprotection.DESCRIPTOR,
    replicaset.DESCRIPTOR,
    replicationcontroller.DESCRIPTOR,
    resourcequota.DESCRIPTOR,
    rootca.DESCRIPTOR,
    serviceaccount.DESCRIPTOR,
    statefulset.DESCRIPTOR,
    tainteviction.DESCRIPTOR,
    ttlafterfinished.DESCRIPTOR,
    vacprotection.DESCRIPTOR,
    validatingadmissionpolicystatus.DESCRIPTOR,
)
