"""Keeps the volumes of the pods of a node: makes them, brings them up to date, removes them.

<root>/pods/<uid>/volumes/<plugin, / as ~>/<volume name>
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from controlplane.api.errors import APIError
from controlplane.api.meta import View
from controlplane.kubelet.containers.references import ConfigError, References
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError
from controlplane.kubelet.volumes.interface import (
    Request,
    VolumeError,
    VolumeHost,
    VolumePlugin,
)
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_log = get_logger("volumes")


class VolumeManager:
    """The volumes of a node."""

    def __init__(
        self,
        root: Path,
        plugins: Sequence[VolumePlugin],
        references: References,
        clock: Clock,
        host: VolumeHost,
        node_facts: Mapping[str, str] | None = None,
        *,
        shared: Path | None = None,
        groups: bool = True,
    ) -> None:
        """`shared` is a folder that all nodes of this machine have."""
        self._host_root = root / "host"
        self._shared_root = (shared or root) / "host"
        self._pods = root / "pods"
        self._plugins = plugins
        self._references = references
        self._clock = clock
        self._host = host
        self._node_facts = dict(node_facts or {})
        self._groups = groups

    async def set_up(self, pod: View, volume: View, facts: Mapping[str, str]) -> str:
        """Make a volume ready; returns where it is. Raises VolumeError, with a message for users."""
        plugin = self._plugin(volume)
        request = self._request(pod, volume, plugin, facts)
        try:
            request.directory.mkdir(parents=True, exist_ok=True)
            return str(await plugin.set_up(request))
        except (ConfigError, APIError, OSError, ContainerRuntimeError) as problem:
            raise VolumeError(str(problem)) from problem

    async def refresh(self, pod: View, facts: Mapping[str, str]) -> None:
        """Bring all volumes of a running pod up to date; what cannot be had now stays as it is."""
        for volume in pod["spec"].get("volumes") or ():
            plugin = self._plugin(volume)
            request = self._request(pod, volume, plugin, facts)
            if not request.directory.is_dir():
                continue
            try:
                await plugin.refresh(request)
            except (
                VolumeError,
                ConfigError,
                APIError,
                OSError,
                ContainerRuntimeError,
            ) as problem:
                _log.debug("volume not refreshed", volume=volume["name"], error=str(problem))

    async def tear_down(self, pod_uid: str) -> None:
        """Remove all volumes of a pod whose containers are gone, and its directory. Idempotent."""
        pod = self._pods / pod_uid
        for plugin in self._plugins:
            kind = pod / "volumes" / _escaped(plugin.name)
            for directory in list(kind.iterdir()) if kind.is_dir() else ():
                await plugin.tear_down(directory)
        if pod.is_dir():
            await self._host.remove_tree(str(pod))

    async def remove_orphans(self, known: Collection[str]) -> None:
        """Remove what pods left that are not on this node any more."""
        for pod in list(self._pods.iterdir()) if self._pods.is_dir() else ():
            if pod.name not in known:
                await self.tear_down(pod.name)

    def _plugin(self, volume: View) -> VolumePlugin:
        for plugin in self._plugins:
            if plugin.can_handle(volume):
                return plugin
        kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
        raise VolumeError(f"volume type {kinds} is not supported on this node")

    def _request(
        self, pod: View, volume: View, plugin: VolumePlugin, facts: Mapping[str, str]
    ) -> Request:
        uid = str(pod["metadata"]["uid"])
        directory = self._pods / uid / "volumes" / _escaped(plugin.name) / volume["name"]
        return Request(
            pod=pod,
            volume=volume,
            directory=directory,
            references=self._references,
            host=self._host,
            group=(pod["spec"].get("securityContext") or {}).get("fsGroup")
            if self._groups
            else None,
            facts={**self._node_facts, **facts},
            now=self._clock.time(),
            host_root=self._host_root,
            shared_root=self._shared_root,
        )


def _escaped(name: str) -> str:
    return name.replace("/", "~")
