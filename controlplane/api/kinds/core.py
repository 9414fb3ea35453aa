"""Rows of the legacy group, v1, with Kubernetes 1.32's short names, categories and subresources."""

from __future__ import annotations

from controlplane.api.resource import ALL_VERBS, READ_WRITE, Resource, Subresource

STATUS = Subresource("status", READ_WRITE)

# Namespaces cannot be deleted by the collection: upstream leaves that verb out.
_NAMESPACE_VERBS = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

ROWS = (
    Resource("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
    Resource(
        "",
        "v1",
        "Endpoints",
        "endpoints",
        singular="endpoints",
        short_names=("ep",),
        storage="services/endpoints",
    ),
    Resource(
        "",
        "v1",
        "Event",
        "events",
        short_names=("ev",),
        field_labels=(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ),
    ),
    Resource(
        "",
        "v1",
        "Namespace",
        "namespaces",
        namespaced=False,
        short_names=("ns",),
        verbs=_NAMESPACE_VERBS,
        subresources=(Subresource("finalize", ("update",)), STATUS),
        field_labels=("status.phase", "name"),
    ),
    Resource(
        "",
        "v1",
        "Node",
        "nodes",
        namespaced=False,
        short_names=("no",),
        storage="minions",
        subresources=(STATUS,),
        field_labels=("spec.unschedulable",),
    ),
    Resource(
        "",
        "v1",
        "Pod",
        "pods",
        short_names=("po",),
        categories=("all",),
        subresources=(
            Subresource("attach", ("create", "get"), kind="PodAttachOptions"),
            Subresource("binding", ("create",), kind="Binding"),
            Subresource("eviction", ("create",), kind="Eviction", group="policy", version="v1"),
            Subresource("exec", ("create", "get"), kind="PodExecOptions"),
            Subresource("log", ("get",)),
            Subresource("portforward", ("create", "get"), kind="PodPortForwardOptions"),
            STATUS,
        ),
        field_labels=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ),
    ),
    Resource("", "v1", "Secret", "secrets", field_labels=("type",)),
    Resource(
        "",
        "v1",
        "Service",
        "services",
        short_names=("svc",),
        categories=("all",),
        storage="services/specs",
        subresources=(STATUS,),
        field_labels=("spec.clusterIP", "spec.type"),
    ),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",)),
)
