"""What a volume type is. Start here; a new one is a file in plugins/ and a line in registry.py.

A plugin makes a directory (or file) of the host hold what the pod asks for; the runtime then shows that path inside of
containers. Set-up and refresh are called again and again, after failures and after restarts of the kubelet too, so both
are idempotent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from controlplane.api.meta import View
from controlplane.kubelet.containers.references import References


class VolumeError(Exception):
    """The volume cannot be had now; the message is shown in the event FailedMount."""


class VolumeHost(Protocol):
    """What a volume needs of the node's runtime: its containers are users, and see mounts, that the kubelet does not.

    See `ContainerRuntime`, which is one.
    """

    async def mount_memory(self, path: str, size_bytes: int) -> None:
        """Have a folder held in memory. Idempotent."""
        ...

    async def own_tree(
        self, path: str, group: int, *, read_only: bool = False, only_on_mismatch: bool = False
    ) -> None:
        """Give a folder and all in it to a group of the containers."""
        ...

    async def remove_tree(self, path: str) -> None:
        """Delete a folder, whoever owns what is in it. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One volume of one pod."""

    pod: View
    volume: View
    """The entry of `spec.volumes`."""
    directory: Path
    """The volume's own place on this node; the manager has made it."""
    references: References
    host: VolumeHost
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the pod's status does not show yet: POD_IP, HOST_IP, the node's allocatable."""
    now: float = 0.0
    host_root: Path | None = None
    """Where host paths lie that the machine does not have: this node's own."""
    shared_root: Path | None = None
    """The same for host paths of PersistentVolumes, which are those of all nodes of this machine."""
    group: int | None = None
    """The pod's fsGroup, where the node's containers can be in groups."""

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.pod["metadata"].get("namespace", ""))

    async def own(self, path: Path, *, read_only: bool = False, settled: bool = False) -> None:
        """Give a volume to the pod's fsGroup, if it has one; `settled`: fsGroupChangePolicy is to be asked first."""
        if self.group is None:
            return
        context = self.pod["spec"].get("securityContext") or {}
        mismatch = settled and context.get("fsGroupChangePolicy") == "OnRootMismatch"
        await self.host.own_tree(
            str(path), self.group, read_only=read_only, only_on_mismatch=mismatch
        )


class VolumePlugin(Protocol):
    """A volume type."""

    name: str
    """As upstream names it, e.g. `kubernetes.io/empty-dir`; part of the volume's path on the node."""

    def can_handle(self, volume: View) -> bool:
        """Whether this entry of `spec.volumes` is of this type."""
        ...

    async def set_up(self, request: Request) -> Path:
        """Make it and return where it is. Raises VolumeError, ConfigError, APIError or OSError."""
        ...

    async def refresh(self, request: Request) -> None:
        """Bring a volume that is in use up to date; for most types nothing. Raises as `set_up`."""
        ...

    async def tear_down(self, directory: Path) -> None:
        """Undo `set_up`, before the manager deletes `directory`; nobody uses it any more. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume that is made of API objects."""

    content: bytes
    mode: int


class FileSource(Protocol):
    """Something files are made of: a volume of its own, and a part of a projected one."""

    key: str
    """The field of a volume, or of a source of a projected volume, that asks for it."""
    name: str
    """The name of the volume type."""

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """Path below the volume -> file; `mode` where `source` names none. Raises as `set_up`."""
        ...
