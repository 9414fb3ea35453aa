"""What the containers of one pod stand on: its volumes, its address, its sandbox - made, taken over, let go."""

from collections.abc import Callable

from controlplane.api.meta import View
from controlplane.kubelet.containers.security import lacking
from controlplane.kubelet.network.addresses import NoAddressLeftError
from controlplane.kubelet.network.hosts import host_name, host_network_hosts_file, hosts_file
from controlplane.kubelet.network.resolv import resolv_conf
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.wake import Wake
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError, Sandbox, SandboxConfig
from controlplane.kubelet.volumes.interface import VolumeError
from controlplane.kubelet.volumes.plugins.empty_dir import in_memory
from kvstore.base.tasks import Supervisor

Emit = Callable[[str, str, str], None]
"""Type, reason, message."""

RETRY_SECONDS = 5.0
REFRESH_SECONDS = 10.0
"""How often volumes made of API objects are brought up to date."""


class PodSandbox:
    """The ground of one pod. Methods take the pod as it is now, since labels and the like may change."""

    def __init__(self, node: Node, pod: View, emit: Emit, facts: dict[str, str]) -> None:
        self._node = node
        self._emit = emit
        self._uid = str(pod["metadata"]["uid"])
        self._facts = facts
        self._pod = pod
        self._wake = Wake(node.clock)
        self._refreshing = False
        self._said_lacking = False
        self.retry_at = 0.0
        self.volumes: dict[str, str] = {}
        """Where each volume is, once it is ready."""
        if self.current is not None:
            # It outlived the kubelet before this one.
            facts["POD_IP"] = self.current.ip
            if self.current.ip != node.ip:
                node.addresses.take(self._uid, self.current.ip)

    @property
    def current(self) -> Sandbox | None:
        """The pod's newest sandbox, as the runtime sees it now."""
        mine = [b for b in self._node.runtime.list_sandboxes() if b.pod_uid == self._uid]
        return mine[-1] if mine else None

    async def ensure(self, pod: View, supervisor: Supervisor) -> bool:
        """Make what is missing; false, with an event, when it cannot be had before `retry_at`."""
        node, spec = self._node, pod["spec"]
        if node.clock.time() < self.retry_at:
            return False
        try:
            if spec.get("hostNetwork"):
                address = node.ip
            else:
                before = str((pod.get("status") or {}).get("podIP") or "")
                address = node.addresses.take(self._uid, before)
            self._facts["POD_IP"] = address
            if self.current is None or not self.current.ready:
                # Where the node itself came back, what was in memory is gone.
                for volume in filter(in_memory, spec.get("volumes") or ()):
                    self.volumes.pop(volume["name"], None)
            if not await self.ensure_volumes(pod, supervisor):
                return False
            if self.current is None or not self.current.ready:
                await node.runtime.run_sandbox(self._config(pod, address))
        except (NoAddressLeftError, ContainerRuntimeError) as problem:
            text = f"Failed to create pod sandbox: {problem}"
            self._emit("Warning", "FailedCreatePodSandBox", text)
            self.retry_at = node.clock.time() + RETRY_SECONDS
            return False
        missing = lacking(pod, node.runtime.features)
        if missing and not self._said_lacking:
            self._said_lacking = True
            told = ", ".join(feature.value for feature in missing)
            text = f"The runtime {node.runtime.name!r} of this node does not give: {told}"
            self._emit("Warning", "Unsupported", text)
        return True

    async def ensure_volumes(self, pod: View, supervisor: Supervisor) -> bool:
        """Make the volumes that are not there yet; false, with an event, when one cannot be had."""
        for volume in pod["spec"].get("volumes") or ():
            name = volume["name"]
            if name in self.volumes:
                continue
            try:
                self.volumes[name] = await self._node.volumes.set_up(pod, volume, self._facts)
            except VolumeError as problem:
                text = f'MountVolume.SetUp failed for volume "{name}" : {problem}'
                self._emit("Warning", "FailedMount", text)
                self.retry_at = self._node.clock.time() + RETRY_SECONDS
                return False
        if self.volumes and not self._refreshing:
            self._refreshing = True
            supervisor.start(self._refresh(), "volumes")
        return True

    async def stop(self) -> None:
        """Free the address; nothing of the pod runs any more."""
        if self.current is not None:
            await self._node.runtime.stop_sandbox(self.current.id)
        self._node.addresses.release(self._uid)

    async def remove(self) -> None:
        """Leave nothing of the pod on the node."""
        for box in self._node.runtime.list_sandboxes():
            if box.pod_uid == self._uid:
                await self._node.runtime.remove_sandbox(box.id)
        await self._node.volumes.tear_down(self._uid)
        self._node.addresses.release(self._uid)

    def update(self, pod: View) -> None:
        """The watch showed a new version: labels and annotations are seen through volumes."""
        changed = any(
            (pod["metadata"].get(key) or {}) != (self._pod["metadata"].get(key) or {})
            for key in ("labels", "annotations")
        )
        self._pod = pod
        if changed:
            self._wake.call()

    async def _refresh(self) -> None:
        """Follow what ConfigMaps, Secrets and tokens become while the pod runs."""
        while True:
            # By chance, so that the pods of a node do not all ask at once.
            await self._wake.wait(REFRESH_SECONDS * self._node.rng.uniform(0.8, 1.2))
            if self.current is not None and self.current.ready:
                await self._node.volumes.refresh(self._pod, self._facts)

    def _config(self, pod: View, address: str) -> SandboxConfig:
        meta, spec, names = pod["metadata"], pod["spec"], self._node.names
        sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
        host_network = bool(spec.get("hostNetwork"))
        return SandboxConfig(
            pod_uid=self._uid,
            name=meta["name"],
            namespace=meta.get("namespace", ""),
            ip=address,
            hostname=self._node.name if host_network else host_name(pod),
            host_network=host_network,
            host_pid=bool(spec.get("hostPID")),
            host_ipc=bool(spec.get("hostIPC")),
            share_processes=bool(spec.get("shareProcessNamespace")),
            hosts=(
                host_network_hosts_file(pod, names.host_names)
                if host_network
                else hosts_file(pod, address, names.domain)
            ),
            resolv_conf=resolv_conf(pod, names.host, names.servers, names.domain),
            sysctls={entry["name"]: entry["value"] for entry in sysctls},
        )
