"""What a cluster has beside what its programs make themselves: the default StorageClass, and in kube-system the Service
`kube-dns` and the Deployment `coredns`. Pure.

Each node answers its pods' questions itself, at the address of `kube-dns`, as a node-local cache would. The Deployment
is there for those who want name servers as pods, too; it runs the same program.
"""

from __future__ import annotations

from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, WAITS
from controlplane.kinds.storage.storage_class import DEFAULT_ANNOTATION

NAMESPACE = "kube-system"
RECORD = "addons.json"
"""The file of a state folder that lists what was made once: what its users change or delete then stays so."""
_LABELS = {"k8s-app": "kube-dns"}
_ACCOUNT = "coredns"


def default_class() -> Obj:
    """Volumes on the node of the first pod that wants them."""
    return {
        "metadata": {"name": "local-path", "annotations": {DEFAULT_ANNOTATION: "true"}},
        "provisioner": LOCAL_PATH,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": WAITS,
        "allowVolumeExpansion": True,
    }


def dns_service(address: str) -> Obj:
    """The Service whose address stands in the resolv.conf of pods."""
    ports = (
        ("dns", 53, "UDP", 53),
        ("dns-tcp", 53, "TCP", 53),
        ("metrics", 9153, "TCP", 8080),
    )
    return {
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "labels": {
                **_LABELS,
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "selector": dict(_LABELS),
            "ports": [
                {"name": name, "port": port, "protocol": protocol, "targetPort": target}
                for name, port, protocol, target in ports
            ],
        },
    }


def dns_account() -> Obj:
    """Who the name servers are."""
    return {"metadata": {"name": _ACCOUNT, "namespace": NAMESPACE, "labels": dict(_LABELS)}}


def dns_deployment(replicas: int) -> Obj:
    """The name servers as pods."""
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2}
    container = {
        "name": "coredns",
        "image": "coredns",
        "args": ["--listen-address", "0.0.0.0:53", "--health-address", "0.0.0.0:8080"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 8080, "protocol": "TCP"},
        ],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}},
    }
    return {
        "metadata": {"name": "coredns", "namespace": NAMESPACE, "labels": dict(_LABELS)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(_LABELS)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": dict(_LABELS)},
                "spec": {
                    "serviceAccountName": _ACCOUNT,
                    "priorityClassName": "system-cluster-critical",
                    # Names of others are asked of those whom the machine asks, not of oneself.
                    "dnsPolicy": "Default",
                    "containers": [container],
                },
            },
        },
    }
