"""Starts one container: image, environment, mounts, process - with upstream's events on the way.

A start that cannot be made now gives a `Blocked` with the time of the next try: images wait 10 s doubling to 300 s,
missing ConfigMaps and Secrets a few seconds.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from controlplane.api.errors import APIError
from controlplane.api.meta import View
from controlplane.kubelet.containers import termination
from controlplane.kubelet.containers.command import command_line
from controlplane.kubelet.containers.environment import image_env, pod_env
from controlplane.kubelet.containers.mounts import container_mounts
from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.containers.security import (
    check_not_root,
    limits_of,
    oom_score,
    privileges_of,
)
from controlplane.kubelet.containers.service_links import service_env
from controlplane.kubelet.pods.images import PodImages
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.plan import Blocked
from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
    Feature,
    LogOptions,
    Mount,
    Sandbox,
)
from controlplane.kubelet.volumes.plugins.empty_dir import in_memory
from kvstore.base.tasks import Supervisor

CONFIG_RETRY_SECONDS = 5.0

Emit = Callable[[str, str, str], None]
"""Type, reason, message."""


class ContainerStarter:
    """Starts the containers of one pod; remembers what is to survive an absent API server."""

    def __init__(
        self,
        node: Node,
        emit: Emit,
        facts: dict[str, str],
        supervisor: Supervisor,
        wake: Callable[[], None],
    ) -> None:
        self._node = node
        self._emit = emit
        self._facts = facts
        self._env: dict[str, dict[str, str]] = {}
        self.blocked: dict[str, Blocked] = {}
        self._images = PodImages(node, emit, supervisor, wake, self.blocked)

    async def start(
        self,
        pod: View,
        container: View,
        attempt: int,
        sandbox: Sandbox,
        volumes: Mapping[str, str],
    ) -> bool:
        """Start a run; false when something is missing, see `blocked`."""
        name = container["name"]
        image = self._images.find(pod, container)
        if image is None:
            return False
        if image.rootfs and Feature.ROOTFS not in self._node.runtime.features:
            text = (
                f"the runtime {self._node.runtime.name!r} of this node cannot run unpacked images"
            )
            self._block(name, "CreateContainerError", text, CONFIG_RETRY_SECONDS)
            self._emit("Warning", "Failed", f"Error: {text}")
            return False
        try:
            check_not_root(pod, container, image.user)
            env = await self._environment(pod, container)
            config = ContainerConfig(
                name=name,
                attempt=attempt,
                image=container["image"],
                image_id=image.id,
                argv=command_line(container, image, env),
                env={**image_env(pod, container, image, self._facts), **env},
                working_dir=container.get("workingDir") or image.workdir,
                root=image.root,
                mounts=(
                    *container_mounts(
                        container, volumes, env, _memory_volumes(pod), _image_volumes(pod)
                    ),
                    self._last_words_mount(pod, container, attempt),
                ),
                rootfs=image.rootfs,
                image_user=image.user,
                limits=limits_of(container, self._node.most_pids),
                oom_score_adj=oom_score(pod, container, self._node.allocatable.get("memory", "0")),
                privileges=privileges_of(pod, container),
                stdin=bool(container.get("stdin")),
                stdin_once=bool(container.get("stdinOnce")),
                tty=bool(container.get("tty")),
                target=self._target(container, sandbox.pod_uid),
            )
            container_id = await self._node.runtime.create_container(sandbox.id, config)
        except ConfigError as problem:
            self._block(name, "CreateContainerConfigError", str(problem), CONFIG_RETRY_SECONDS)
            self._emit("Warning", "Failed", f"Error: {problem}")
            return False
        except (ContainerRuntimeError, APIError) as problem:
            self._block(name, "CreateContainerError", str(problem), CONFIG_RETRY_SECONDS)
            self._emit("Warning", "Failed", f"Error: {problem}")
            return False
        self._emit("Normal", "Created", f"Created container: {name}")
        await self._node.runtime.start_container(container_id)
        self.blocked.pop(name, None)
        status = next(
            s for s in self._node.runtime.list_containers(sandbox.pod_uid) if s.id == container_id
        )
        if status.reason == "StartError":
            self._emit("Warning", "Failed", f"Error: {status.message}")
        else:
            self._emit("Normal", "Started", f"Started container {name}")
        return True

    def _target(self, container: View, pod_uid: str) -> str:
        """The running container that an ephemeral one is to look into. Raises ContainerRuntimeError."""
        name = container.get("targetContainerName")
        if not name:
            return ""
        for status in self._node.runtime.list_containers(pod_uid):
            if status.name == name and status.state is ContainerState.RUNNING:
                return status.id
        raise ContainerRuntimeError(
            f'failed to generate container "{container["name"]}" spec: '
            f'cannot find target container "{name}"'
        )

    async def last_words(self, container: View, status: ContainerStatus) -> str:
        """What a container that has ended left as its message."""
        words = termination.read(self._last_words_file(status.pod_uid, status.name, status.attempt))
        wanted = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if words or not wanted or status.exit_code == 0:
            return words
        options = LogOptions(tail_lines=termination.MAX_LOG_LINES)
        parts = [part async for part in self._node.runtime.logs(status.id, options)]
        return b"".join(parts)[-termination.MAX_LOG_BYTES :].decode(errors="replace")

    def _last_words_mount(self, pod: View, container: View, attempt: int) -> Mount:
        file = self._last_words_file(str(pod["metadata"]["uid"]), container["name"], attempt)
        termination.prepare(file)
        path = container.get("terminationMessagePath") or termination.DEFAULT_PATH
        return Mount("termination-message", str(file), path)

    def _last_words_file(self, uid: str, name: str, attempt: int) -> Path:
        return self._node.root / "pods" / uid / "last-words" / f"{name}.{attempt}"

    async def _environment(self, pod: View, container: View) -> dict[str, str]:
        name = container["name"]
        try:
            links = pod["spec"].get("enableServiceLinks") is not False
            namespace = str(pod["metadata"].get("namespace", ""))
            services = service_env(self._node.services(), namespace, links=links)
            env = await pod_env(pod, container, self._facts, services, self._node.references)
        except APIError:
            if name not in self._env:
                raise
            return self._env[name]  # No API server: restart with what was known.
        self._env[name] = env
        return env

    def _block(self, name: str, reason: str, message: str, seconds: float) -> None:
        self.blocked[name] = Blocked(reason, message, self._node.clock.time() + seconds)


def _memory_volumes(pod: View) -> set[str]:
    return {volume["name"] for volume in pod["spec"].get("volumes") or () if in_memory(volume)}


def _image_volumes(pod: View) -> set[str]:
    return {one["name"] for one in pod["spec"].get("volumes") or () if one.get("image")}
