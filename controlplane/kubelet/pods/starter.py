"""Starts one container: image, environment, mounts, process - with upstream's events on the way.

A start that cannot be made now gives a `Blocked` with the time of the next try: images wait 10 s doubling to 300 s,
missing ConfigMaps and Secrets a few seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.errors import APIError
from controlplane.kubelet.containers.command import command_line
from controlplane.kubelet.containers.environment import container_env
from controlplane.kubelet.containers.mounts import container_mounts
from controlplane.kubelet.containers.references import ConfigError, References
from controlplane.kubelet.images.catalog import Image, ImageCatalog
from controlplane.kubelet.pods.plan import BACKOFF_FIRST_SECONDS, BACKOFF_MAX_SECONDS, Blocked
from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerRuntime,
    ContainerRuntimeError,
    Sandbox,
)
from kvstore.base.clock import Clock

CONFIG_RETRY_SECONDS = 5.0

Object = Mapping[str, Any]
Emit = Callable[[str, str, str], None]
"""Type, reason, message."""


@dataclass(slots=True)
class ContainerStarter:
    """Starts the containers of one pod; remembers what is to survive an absent API server."""

    runtime: ContainerRuntime
    catalog: ImageCatalog
    references: References
    clock: Clock
    emit: Emit
    facts: dict[str, str]
    blocked: dict[str, Blocked] = field(default_factory=dict)
    _image_delay: dict[str, float] = field(default_factory=dict)
    _env: dict[str, dict[str, str]] = field(default_factory=dict)

    async def start(
        self,
        pod: Object,
        container: Object,
        attempt: int,
        sandbox: Sandbox,
        volumes: Mapping[str, str],
    ) -> bool:
        """Start a run; false when something is missing, see `blocked`."""
        name = container["name"]
        image = self._find_image(container)
        if image is None:
            return False
        try:
            env = await self._environment(pod, container, image)
            config = ContainerConfig(
                name=name,
                attempt=attempt,
                image=container["image"],
                image_id=image.id,
                argv=command_line(container, image, env),
                env=env,
                working_dir=container.get("workingDir") or image.workdir,
                root=image.root,
                mounts=container_mounts(container, volumes, env),
                stdin=bool(container.get("stdin")),
                stdin_once=bool(container.get("stdinOnce")),
                tty=bool(container.get("tty")),
            )
            container_id = await self.runtime.create_container(sandbox.id, config)
        except ConfigError as problem:
            self._block(name, "CreateContainerConfigError", str(problem), CONFIG_RETRY_SECONDS)
            self.emit("Warning", "Failed", f"Error: {problem}")
            return False
        except (ContainerRuntimeError, APIError) as problem:
            self._block(name, "CreateContainerError", str(problem), CONFIG_RETRY_SECONDS)
            self.emit("Warning", "Failed", f"Error: {problem}")
            return False
        self.emit("Normal", "Created", f"Created container: {name}")
        await self.runtime.start_container(container_id)
        self.blocked.pop(name, None)
        status = next(
            s for s in self.runtime.list_containers(sandbox.pod_uid) if s.id == container_id
        )
        if status.reason == "StartError":
            self.emit("Warning", "Failed", f"Error: {status.message}")
        else:
            self.emit("Normal", "Started", f"Started container {name}")
        return True

    async def _environment(self, pod: Object, container: Object, image: Image) -> dict[str, str]:
        name = container["name"]
        try:
            env = await container_env(pod, container, image, self.facts, self.references)
        except APIError:
            if name not in self._env:
                raise
            return self._env[name]  # No API server: restart with what was known.
        self._env[name] = env
        return env

    def _find_image(self, container: Object) -> Image | None:
        name, reference = container["name"], str(container.get("image", ""))
        image = self.catalog.find(reference)
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        if image is not None:
            self._image_delay.pop(name, None)
            if policy == "Always":
                self.emit("Normal", "Pulling", f'Pulling image "{reference}"')
                self.emit("Normal", "Pulled", f'Successfully pulled image "{reference}"')
            else:
                text = f'Container image "{reference}" already present on machine'
                self.emit("Normal", "Pulled", text)
            return image
        if policy == "Never":
            text = f'Container image "{reference}" is not present with pull policy of Never'
            self.emit("Warning", "ErrImageNeverPull", text)
            self._block(name, "ErrImageNeverPull", text, CONFIG_RETRY_SECONDS)
            return None
        self._image_missing(name, reference)
        return None

    def _image_missing(self, name: str, reference: str) -> None:
        why = (
            f'failed to pull image "{reference}": not in the catalog of this node '
            f"(it has {', '.join(self.catalog.names)}; --images adds more)"
        )
        self.emit("Normal", "Pulling", f'Pulling image "{reference}"')
        self.emit("Warning", "Failed", f'Failed to pull image "{reference}": {why}')
        self.emit("Warning", "Failed", "Error: ErrImagePull")
        first = name not in self._image_delay
        delay = BACKOFF_FIRST_SECONDS if first else self._image_delay[name] * 2
        self._image_delay[name] = min(delay, BACKOFF_MAX_SECONDS)
        if first:
            # Shown for one short moment before the back-off, as users expect both words.
            self._block(name, "ErrImagePull", why, self._image_delay[name])
        else:
            text = f'Back-off pulling image "{reference}": ErrImagePull: {why}'
            self._block(name, "ImagePullBackOff", text, self._image_delay[name])
            self.emit("Normal", "BackOff", f'Back-off pulling image "{reference}"')

    def _block(self, name: str, reason: str, message: str, seconds: float) -> None:
        self.blocked[name] = Blocked(reason, message, self.clock.time() + seconds)
