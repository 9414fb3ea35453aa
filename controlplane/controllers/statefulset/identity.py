"""What makes a Pod the n-th of its StatefulSet - name, labels, host name, claims - and how it is made: pure."""

import re

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.pods import pod_of

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
REVISION = "controller-revision-hash"

_NAME = re.compile(r"(.*)-([0-9]+)$")
_LARGEST = 2**31 - 1


def parent_and_ordinal(pod: Obj) -> tuple[str, int]:
    """The name of the set and the number a Pod's name says; -1 when it says none."""
    found = _NAME.fullmatch(meta.name(pod))
    if found is None:
        return "", -1
    number = int(found.group(2))
    return found.group(1), number if number <= _LARGEST else -1


def ordinal_of(pod: Obj) -> int:
    """The number of a Pod, -1 when its name has none."""
    return parent_and_ordinal(pod)[1]


def is_member(set_: Obj, pod: Obj) -> bool:
    """Whether the Pod's name is one of the set's."""
    return parent_and_ordinal(pod)[0] == meta.name(set_)


def ordinals(set_: Obj) -> range:
    """The numbers the set's Pods should have."""
    spec = meta.spec(set_)
    start = int((spec.get("ordinals") or {}).get("start") or 0)
    replicas = spec.get("replicas")
    return range(start, start + (1 if replicas is None else int(replicas)))


def revision_of(pod: Obj) -> str:
    """The name of the revision a Pod was made from."""
    return meta.labels(pod).get(REVISION, "")


def claim_name(set_: Obj, template: Obj, ordinal: int) -> str:
    """The name of a Pod's claim by one of the set's templates."""
    return f"{meta.name(template)}-{meta.name(set_)}-{ordinal}"


def claims_of(set_: Obj, ordinal: int) -> list[Obj]:
    """The claims the n-th Pod has, as they are made."""
    labels = (meta.spec(set_).get("selector") or {}).get("matchLabels") or {}
    found = []
    for template in meta.spec(set_).get("volumeClaimTemplates") or ():
        claim = meta.copy_of(template)
        claim.pop("status", None)
        metadata = {k: v for k, v in meta.metadata(claim).items() if k in ("annotations", "labels")}
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        metadata |= {"name": claim_name(set_, template, ordinal), "namespace": meta.namespace(set_)}
        found.append({**claim, "metadata": metadata})
    return found


def new_pod(set_: Obj, ordinal: int, revision: str) -> Obj:
    """The n-th Pod by the set's template, which is that of `revision`."""
    name = f"{meta.name(set_)}-{ordinal}"
    pod = pod_of(meta.spec(set_).get("template") or {}, set_, name=name)
    pod["metadata"]["labels"] = {
        **meta.labels(pod),
        POD_NAME: name,
        POD_INDEX: str(ordinal),
        REVISION: revision,
    }
    pod["spec"]["hostname"] = name
    service = meta.spec(set_).get("serviceName")
    if service:
        pod["spec"]["subdomain"] = service
    return with_storage(set_, pod)


def with_storage(set_: Obj, pod: Obj) -> Obj:
    """The Pod with a volume for each claim."""
    ordinal = ordinal_of(pod)
    volumes = [
        {
            "name": meta.name(template),
            "persistentVolumeClaim": {"claimName": claim_name(set_, template, ordinal)},
        }
        for template in meta.spec(set_).get("volumeClaimTemplates") or ()
    ]
    names = {volume["name"] for volume in volumes}
    others = [v for v in meta.spec(pod).get("volumes") or () if v.get("name") not in names]
    if not volumes:
        return pod
    return {**pod, "spec": {**meta.spec(pod), "volumes": [*volumes, *others]}}


def has_identity(set_: Obj, pod: Obj) -> bool:
    """Whether the Pod carries its labels and its claims."""
    ordinal = ordinal_of(pod)
    if ordinal < 0 or meta.labels(pod).get(POD_NAME) != meta.name(pod):
        return False
    volumes = {volume.get("name"): volume for volume in meta.spec(pod).get("volumes") or ()}
    for template in meta.spec(set_).get("volumeClaimTemplates") or ():
        source = (volumes.get(meta.name(template)) or {}).get("persistentVolumeClaim") or {}
        if source.get("claimName") != claim_name(set_, template, ordinal):
            return False
    return True


def with_identity(set_: Obj, pod: Obj) -> Obj:
    """The Pod with labels and claims put right."""
    labels = {
        **meta.labels(pod),
        POD_NAME: meta.name(pod),
        POD_INDEX: str(ordinal_of(pod)),
    }
    return with_storage(set_, {**pod, "metadata": {**pod["metadata"], "labels": labels}})
