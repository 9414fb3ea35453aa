"""NodeRestriction: a node agent writes its own node, its own pods' status, tokens of its own pods, its own lease.

The Node authorizer lets it write objects of these kinds; which ones is seen here. A node cannot label itself into a
pool that is kept from it (`node-restriction.kubernetes.io/`), change its taints, or speak for pods elsewhere.

Source: plugin/pkg/admission/noderestriction.
"""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes
from controlplane.apiserver.authz.node.identity import node_of
from controlplane.apiserver.authz.node.references import of_pod
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
    common_name,
)
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kinds.storage.csi_node import CSI_NODES

_MIRROR = "kubernetes.io/config.mirror"
_LEASE_NAMESPACE = "kube-node-lease"
_RESTRICTED = "node-restriction.kubernetes.io"
_OWN_LABELS = frozenset(
    {
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OWN_LABEL_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_NODE_SIGNERS = (
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/kube-apiserver-client-kubelet",
)
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")


class NodeRestriction:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of what nodes write."""
        del subresource
        return operation in (CREATE, UPDATE, DELETE) and resource in (
            PODS,
            NODES,
            PERSISTENT_VOLUME_CLAIMS,
            SERVICE_ACCOUNTS,
            LEASES,
            CSI_NODES,
            CERTIFICATE_SIGNING_REQUESTS,
        )

    async def admit(self, attributes: Attributes) -> None:
        """Refuse a node what is not its own."""
        node = node_of(attributes.user)
        if node is None:
            return
        if not node:
            why = f'could not determine node from user "{attributes.user.name}"'
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)
        why = await self._problem(node, attributes)
        if why:
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)

    async def _problem(self, node: str, attributes: Attributes) -> str:
        resource, subresource = attributes.resource, attributes.subresource
        if resource == PODS:
            if subresource == "":
                return await self._pod(node, attributes)
            if subresource == "status":
                return _pod_status(node, attributes)
            if subresource == "eviction":
                return await self._eviction(node, attributes)
            return (
                f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are "
                "allowed"
            )
        if resource == NODES:
            return _node(node, attributes)
        if resource == PERSISTENT_VOLUME_CLAIMS:
            return _claim_status(node, attributes)
        if resource == SERVICE_ACCOUNTS:
            return await self._token(node, attributes)
        if resource == LEASES:
            if attributes.namespace != _LEASE_NAMESPACE:
                return f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace'
            return _own_name(node, attributes, "node lease")
        if resource == CSI_NODES:
            return _own_name(node, attributes, "CSINode")
        return _signing_request(node, attributes)

    async def _pod(self, node: str, attributes: Attributes) -> str:
        if attributes.operation == DELETE:
            if meta.spec(attributes.old or {}).get("nodeName") != node:
                return f'node "{node}" can only delete pods with spec.nodeName set to itself'
            return ""
        if attributes.operation != CREATE:
            return (
                f'unexpected operation "{attributes.operation}", node "{node}" can only create and '
                "delete mirror pods"
            )
        pod = attributes.require_object()
        if _MIRROR not in meta.annotations(pod):
            return (
                f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror '
                "pods"
            )
        if meta.spec(pod).get("nodeName") != node:
            return f'node "{node}" can only create pods with spec.nodeName set to itself'
        return await self._owner_problem(node, pod) or _reference_problem(node, pod)

    async def _owner_problem(self, node: str, pod: Obj) -> str:
        owners = meta.owner_references(pod)
        if len(owners) > 1:
            return f'node "{node}" can only create pods with a single owner reference set to itself'
        owner = owners[0] if owners else {}
        named = (owner.get("apiVersion"), owner.get("kind"), owner.get("name"))
        if named != ("v1", "Node", node):
            return f'node "{node}" can only create pods with an owner reference set to itself'
        if not owner.get("controller"):
            return f'node "{node}" can only create pods with a controller owner reference set to itself'
        if owner.get("blockOwnerDeletion"):
            return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
        found = await self._lookup.find(NODES, "", node)
        if found is None:
            raise errors.NotFound.of(NODES, node)
        if owner.get("uid") != meta.uid(found):
            return f"node {node} UID mismatch: expected {owner.get('uid')} got {meta.uid(found)}"
        return ""

    async def _eviction(self, node: str, attributes: Attributes) -> str:
        pod = await self._find_pod(attributes.namespace, attributes.name)
        if meta.spec(pod).get("nodeName") != node:
            return f"node {node} can only evict pods with spec.nodeName set to itself"
        return ""

    async def _token(self, node: str, attributes: Attributes) -> str:
        if attributes.operation != CREATE or attributes.subresource != "token":
            return ""
        spec = meta.spec(attributes.require_object())
        reference = spec.get("boundObjectRef") or {}
        named = (reference.get("apiVersion"), reference.get("kind"))
        if named != ("v1", "Pod") or not reference.get("name"):
            return "node requested token not bound to a pod"
        if not reference.get("uid"):
            return "node requested token with a pod binding without a uid"
        pod = await self._find_pod(attributes.namespace, reference["name"])
        if reference["uid"] != meta.uid(pod):
            return (
                f"the UID in the bound object reference ({reference['uid']}) does not match the "
                "UID in record. The object might have been deleted and then recreated"
            )
        if meta.spec(pod).get("nodeName") != node:
            return "node requested token bound to a pod scheduled on a different node"
        return ""

    async def _find_pod(self, namespace: str, name: str) -> Obj:
        found = await self._lookup.find(PODS, namespace, name)
        if found is None:
            raise errors.NotFound.of(PODS, name)
        return found


def _reference_problem(node: str, pod: Obj) -> str:
    """A node's own pod refers to nothing: through it the node could read what it may not."""
    own = ("pods", meta.namespace(pod), meta.name(pod))
    others = sorted(kind for kind, _, _ in of_pod(pod) - {own})
    return f'node "{node}" can not create pods that reference {others[0]}' if others else ""


def _pod_status(node: str, attributes: Attributes) -> str:
    if attributes.operation != UPDATE:
        return f'unexpected operation "{attributes.operation}"'
    old, new = attributes.old or {}, attributes.require_object()
    if meta.spec(old).get("nodeName") != node:
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
    if meta.labels(old) != meta.labels(new):
        return f'node "{node}" cannot update labels through pod status'
    claims = "resourceClaimStatuses"
    if (meta.status(old).get(claims) or []) != (meta.status(new).get(claims) or []):
        return f'node "{node}" cannot update resource claim statues'
    return ""


def _node(node: str, attributes: Attributes) -> str:
    name = attributes.name or meta.name(attributes.obj or {})
    if name != node:
        return f'node "{node}" is not allowed to modify node "{name}"'
    new, old = attributes.obj, attributes.old
    if attributes.operation == CREATE and new is not None:
        if meta.spec(new).get("configSource"):
            return f'node "{node}" is not allowed to create pods with a non-nil configSource'
        labels = _forbidden_labels(meta.labels(new), {})
        if labels:
            return f'node "{node}" is not allowed to set the following labels: {labels}'
    if attributes.operation == UPDATE and new is not None and old is not None:
        source = meta.spec(new).get("configSource")
        if source and source != meta.spec(old).get("configSource"):
            return (
                f'node "{node}" is not allowed to update configSource to a new non-nil configSource'
            )
        if (meta.spec(new).get("taints") or []) != (meta.spec(old).get("taints") or []):
            return f'node "{node}" is not allowed to modify taints'
        if meta.owner_references(new) != meta.owner_references(old):
            return f'node "{node}" is not allowed to modify ownerReferences'
        labels = _forbidden_labels(meta.labels(new), meta.labels(old))
        if labels:
            return f"is not allowed to modify labels: {labels}"
    return ""


def _forbidden_labels(new: dict[str, str], old: dict[str, str]) -> str:
    changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
    return ", ".join(sorted(key for key in changed if _is_forbidden(key)))


def _is_forbidden(label: str) -> bool:
    namespace = label.partition("/")[0] if "/" in label else ""

    def is_in(parent: str) -> bool:
        return namespace == parent or namespace.endswith("." + parent)

    if is_in(_RESTRICTED):
        return True
    is_ours = is_in("kubernetes.io") or is_in("k8s.io")
    is_own = label in _OWN_LABELS or any(is_in(one) for one in _OWN_LABEL_NAMESPACES)
    return is_ours and not is_own


def _claim_status(node: str, attributes: Attributes) -> str:
    if attributes.subresource != "status":
        return "may only update PVC status"
    if _without_status(attributes.old or {}) != _without_status(attributes.require_object()):
        return (
            f'node "{node}" is not allowed to update fields other than status.quantity and '
            "status.conditions"
        )
    return ""


def _without_status(claim: Obj) -> Obj:
    fields = {
        key: value
        for key, value in meta.metadata(claim).items()
        if key not in ("resourceVersion", "managedFields")
    }
    status = {key: value for key, value in meta.status(claim).items() if key not in _CLAIM_STATUS}
    return {**claim, "metadata": fields, "status": status}


def _own_name(node: str, attributes: Attributes, what: str) -> str:
    name = attributes.name or meta.name(attributes.obj or {})
    if name != node:
        return f"can only access {what} with the same name as the requesting node"
    return ""


def _signing_request(node: str, attributes: Attributes) -> str:
    if attributes.operation != CREATE:
        return ""
    request = attributes.require_object()
    if meta.spec(request).get("signerName") not in _NODE_SIGNERS:
        return ""
    name = common_name(request)
    if name is None:
        return "unable to parse csr"
    if name != f"system:node:{node}":
        return f"can only create a node CSR with CN=system:node:{node}"
    return ""
