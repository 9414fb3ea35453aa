"""The Node authorizer: a node agent reads its own node, its own pods, and what these refer to.

It has no opinion of others, and of nodes it never says a final no: roles may add to it. What a node *writes* is bounded
further by the admission plugin NodeRestriction, which sees the objects.

Source: plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from collections.abc import Awaitable, Callable

from controlplane.apiserver.authz.interface import (
    NO_OPINION,
    READ_VERBS,
    Attributes,
    Decision,
    Verdict,
    selected,
)
from controlplane.apiserver.authz.node.graph import NodeGraph
from controlplane.apiserver.authz.node.identity import node_of
from controlplane.apiserver.authz.rbac import policy, rules

_ALLOWED = Verdict(Decision.ALLOW)
_LEASES = "kube-node-lease"
_OWN_WRITES = ("get", "create", "update", "patch", "delete")


def _no(reason: str) -> Verdict:
    return Verdict(Decision.NO_OPINION, reason)


class NodeAuthorizer:
    """The authorizer."""

    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._by_resource: dict[
            tuple[str, str], Callable[[str, Attributes], Awaitable[Verdict]]
        ] = {
            ("", "secrets"): self._read_one,
            ("", "configmaps"): self._read_one,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("resource.k8s.io", "resourceclaims"): self._get,
            ("storage.k8s.io", "volumeattachments"): self._get,
            ("", "serviceaccounts"): self._service_account,
            ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    async def authorize(self, attributes: Attributes) -> Verdict:
        """See `Authorizer.authorize`."""
        node = node_of(attributes.user)
        if node is None:
            return NO_OPINION
        if not node:
            return _no(f'unknown node for user "{attributes.user.name}"')
        if attributes.is_resource:
            handler = self._by_resource.get((attributes.group, attributes.resource))
            if handler is not None:
                return await handler(node, attributes)
        if any(rules.allows(rule, attributes) for rule in policy.default_rules("system:node")):
            return _ALLOWED
        return NO_OPINION

    async def _related(self, node: str, attributes: Attributes) -> Verdict:
        if not attributes.name:
            return _no("No Object name found")
        reference = (attributes.resource, attributes.namespace, attributes.name)
        if await self._graph.needs(node, reference):
            return _ALLOWED
        return _no(f"no relationship found between node '{node}' and this object")

    async def _read_one(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.verb not in READ_VERBS:
            return _no("can only read resources of this type")
        if attributes.subresource:
            return _no("cannot read subresource")
        if not attributes.namespace:
            return _no("can only read namespaced object of this type")
        return await self._related(node, attributes)

    async def _get(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.verb != "get":
            return _no("can only get individual resources of this type")
        if attributes.subresource:
            return _no("cannot get subresource")
        return await self._related(node, attributes)

    async def _claim(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.subresource != "status":
            return await self._get(node, attributes)
        if attributes.verb not in ("update", "patch"):
            return _no("can only get/update/patch this type")
        return await self._related(node, attributes)

    async def _service_account(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.verb == "get" and not attributes.subresource:
            return await self._read_one(node, attributes)
        if attributes.verb != "create" or not attributes.name:
            return _no("can only create tokens for individual service accounts")
        if attributes.subresource != "token":
            return _no("can only create token subresource of serviceaccount")
        return await self._related(node, attributes)

    async def _lease(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.verb not in _OWN_WRITES:
            return _no("can only get, create, update, patch, or delete a node lease")
        if attributes.namespace != _LEASES:
            return _no(f'can only access leases in the "{_LEASES}" system namespace')
        if attributes.verb != "create" and attributes.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return _ALLOWED

    async def _csi_node(self, node: str, attributes: Attributes) -> Verdict:
        if attributes.verb not in _OWN_WRITES:
            return _no("can only get, create, update, patch, or delete a CSINode")
        if attributes.subresource:
            return _no("cannot authorize CSINode subresources")
        if attributes.verb != "create" and attributes.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return _ALLOWED

    async def _node(self, node: str, attributes: Attributes) -> Verdict:
        verb, subresource = attributes.verb, attributes.subresource
        if subresource == "status" and verb in ("update", "patch"):
            return _ALLOWED
        if subresource:
            return NO_OPINION
        if verb in ("create", "update", "patch"):
            return _ALLOWED
        if verb not in READ_VERBS:
            return NO_OPINION
        if attributes.name == node:
            return _ALLOWED
        if not attributes.name:
            return _no(f"node '{node}' cannot read all nodes, only its own Node object")
        return _no(f"node '{node}' cannot read '{attributes.name}', only its own Node object")

    async def _pod(self, node: str, attributes: Attributes) -> Verdict:
        verb, subresource = attributes.verb, attributes.subresource
        if subresource == "status":
            return _ALLOWED if verb in ("update", "patch") else NO_OPINION
        if subresource == "eviction":
            return _ALLOWED if verb == "create" else NO_OPINION
        if subresource:
            return NO_OPINION
        if verb == "get":
            return await self._get(node, attributes)
        if verb in ("list", "watch"):
            if selected(attributes.field_selector, "spec.nodeName") == node:
                return _ALLOWED
            if attributes.name:
                return await self._related(node, attributes)
            return _no("can only list/watch pods with spec.nodeName field selector")
        return _ALLOWED if verb in ("create", "delete") else NO_OPINION
