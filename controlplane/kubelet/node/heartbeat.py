"""Tells the cluster that this node lives: its Node object, a Lease renewed often, a status written seldom.

The status is written every few minutes, and at once when the API server shows another one than it should, which is how
a node comes back after silence.
"""

import random
from typing import Any

from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.times import to_micro
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import STRATEGIC_MERGE_PATCH, RestClient
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.node import NODES
from controlplane.kubelet.node.registration import (
    Machine,
    needs_repair,
    node_annotations,
    node_labels,
    node_object,
    node_status,
)
from controlplane.kubelet.pods.wake import Wake
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("heartbeat")

LEASE_NAMESPACE = "kube-node-lease"
RENEWALS_PER_LEASE = 4
"""A 40 s lease is renewed every 10 s."""


class Heartbeat:
    """Registers the node, then keeps its Lease and status fresh."""

    def __init__(
        self,
        client: RestClient,
        machine: Machine,
        events: EventRecorder,
        clock: Clock,
        rng: random.Random,
        *,
        lease_seconds: float,
        status_seconds: float,
    ) -> None:
        self._client = client
        self._machine = machine
        self._events = events
        self._clock = clock
        self._rng = rng
        self._lease_seconds = lease_seconds
        self._status_seconds = status_seconds
        self._lease: dict[str, Any] | None = None
        self._wake = Wake(clock)
        self._informer = Informer(
            client,
            NODES,
            clock,
            field_selector=f"metadata.name={machine.name}",
            rng=rng,
        )
        self.registered = False
        self.node: dict[str, Any] | None = None
        """The Node object, as last seen; labels and taints are what others made of them."""

    async def register(self) -> None:
        """Create the Node or take over the one there is; tries until it succeeds."""
        backoff = Backoff(0.2, 5.0, rng=self._rng)
        while True:
            try:
                node = await self._create_or_get()
                await self._write_status(node)
            except APIError as problem:
                _log.warning("node not registered yet", error=str(problem))
                await self._clock.sleep(backoff.next())
            else:
                break
        self.registered = True
        self._event("Starting", "Starting kubelet.")
        self._event("NodeReady", f"Node {self._machine.name} status is now: NodeReady")

    async def run(self) -> None:
        """Renew until cancelled; after `register`."""
        self._informer.add_listener(self._seen, lambda old, new: self._seen(new))
        supervisor = Supervisor("heartbeat")
        try:
            supervisor.start(self._informer.run(), "node", eternal=True)
            supervisor.start(self._renew_lease(), "lease", eternal=True)
            supervisor.start(self._keep_status(), "status", eternal=True)
            await supervisor.wait()
        finally:
            await supervisor.stop()

    async def _create_or_get(self) -> dict[str, Any]:
        nodes, name = NODES, self._machine.name
        try:
            return await self._client.create(nodes, node_object(self._machine, self._clock.time()))
        except AlreadyExists:
            labels, notes = node_labels(self._machine), node_annotations(self._machine)
            return await self._client.patch(
                nodes, name, {"metadata": {"labels": labels, "annotations": notes}}
            )

    def _seen(self, node: dict[str, Any]) -> None:
        self.node = node
        if needs_repair(node, self._machine):
            self._wake.call()

    async def _keep_status(self) -> None:
        backoff = Backoff(0.5, 10.0, rng=self._rng)
        while True:
            await self._wake.wait(self._status_seconds)
            try:
                node = await self._client.get(NODES, self._machine.name)
                await self._write_status(node)
                backoff.reset()
            except NotFound:
                # Deleted on purpose: as upstream, only a restart registers the node again.
                _log.warning("node object is gone", node=self._machine.name)
            except APIError as problem:
                _log.debug("node status not written", error=str(problem))
                self._wake.call()
                await self._clock.sleep(backoff.next())
            else:
                # Whoever calls this node unready again at once must not be answered in a tight loop.
                await self._clock.sleep(1.0)

    async def _write_status(self, node: dict[str, Any]) -> None:
        status = node_status(self._machine, node.get("status") or {}, self._clock.time())
        self.node = await self._client.patch(
            NODES,
            self._machine.name,
            {"status": status},
            patch_type=STRATEGIC_MERGE_PATCH,
            subresource="status",
        )

    async def _renew_lease(self) -> None:
        period = self._lease_seconds / RENEWALS_PER_LEASE
        backoff = Backoff(min(0.2, period), period, rng=self._rng)
        while True:
            try:
                await self._renew_once(period)
                backoff.reset()
                delay = period * self._rng.uniform(0.96, 1.04)  # Many nodes must not beat in step.
            except APIError as problem:
                _log.debug("lease not renewed", error=str(problem))
                self._lease = None
                delay = backoff.next()
            await self._clock.sleep(delay)

    async def _renew_once(self, timeout: float) -> None:
        leases, name = LEASES, self._machine.name
        if self._lease is None:
            try:
                self._lease = await self._client.get(leases, name, LEASE_NAMESPACE)
            except NotFound:
                self._lease = await self._client.create(
                    leases,
                    {
                        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
                        "spec": self._lease_spec(),
                    },
                    LEASE_NAMESPACE,
                )
                return
        renewed = {**self._lease, "spec": {**self._lease.get("spec", {}), **self._lease_spec()}}
        self._lease = await self._client.update(leases, renewed, timeout_seconds=max(1.0, timeout))

    def _lease_spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._machine.name,
            "leaseDurationSeconds": max(1, round(self._lease_seconds)),
            "renewTime": to_micro(self._clock.time()),
        }

    def _event(self, reason: str, message: str) -> None:
        name = self._machine.name
        # Upstream's kubelet names its node by name in place of the uid, and kubectl looks there.
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
        self._events.event(node, "Normal", reason, message)
