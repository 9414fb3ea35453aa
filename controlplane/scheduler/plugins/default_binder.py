"""DefaultBinder: POSTs the Binding; the only plugin that talks to the API server."""

from controlplane.api.errors import APIError
from controlplane.client.leader import NotLeader
from controlplane.client.rest import RestClient
from controlplane.kinds.core.pod.resource import PODS
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, error


class DefaultBinder:
    """Binds through the pods/binding subresource, which refuses a pod that is bound already."""

    name = "DefaultBinder"
    events: tuple[cluster.Wake, ...] = ()

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Write the node's name; the uid guards against a pod of the same name made since."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
        }
        try:
            await self._client.create_subresource(
                PODS,
                pod.name,
                "binding",
                binding,
                namespace=pod.namespace,
            )
        except (APIError, NotLeader) as problem:
            return error(f"binding rejected: {problem}")
        return SUCCESS
