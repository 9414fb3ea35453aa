"""The images of one pod's containers: here already, pulled beside the worker, or waited for with upstream's words.

Source of events and reasons: pkg/kubelet/images/image_manager.go.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from controlplane.api.errors import APIError
from controlplane.api.meta import View
from controlplane.kubelet.images.image import Image
from controlplane.kubelet.images.registry.auth import Credential, credentials_of
from controlplane.kubelet.images.registry.client import RegistryError
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.plan import BACKOFF_FIRST_SECONDS, BACKOFF_MAX_SECONDS, Blocked
from kvstore.base.tasks import Supervisor

NEVER_RETRY_SECONDS = 5.0
_PULL_SECONDS = 24 * 3600.0

Emit = Callable[[str, str, str], None]
"""Type, reason, message."""


@dataclass(frozen=True, slots=True)
class _Pulled:
    problem: str
    """"" for a pull that went well."""
    seconds: float


@dataclass(slots=True)
class PodImages:
    """Has the images of one pod pulled. What cannot be had now stands in `blocked`, by container."""

    node: Node
    emit: Emit
    supervisor: Supervisor
    wake: Callable[[], None]
    """Called when a pull has ended."""
    blocked: dict[str, Blocked]
    _delays: dict[str, float] = field(default_factory=dict)
    _pulling: set[str] = field(default_factory=set)
    _ended: dict[str, _Pulled] = field(default_factory=dict)

    def find(self, pod: View, container: View) -> Image | None:
        """The image, if it is here; None with `blocked` set if it has to be waited for."""
        name, reference = container["name"], str(container.get("image", ""))
        image = self.node.catalog.find(reference)
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        if name in self._pulling:
            self._wait(pod, container)
            return None
        ended = self._ended.pop(name, None)
        if ended is not None and (ended.problem or image is None):
            why = ended.problem or f'failed to pull image "{reference}": it is gone again'
            self._failed(name, reference, why)
            return None
        if ended is not None and image is not None:
            self._delays.pop(name, None)
            took = f"{ended.seconds:.3f}s"
            text = f'Successfully pulled image "{reference}" in {took} ({took} including waiting).'
            self.emit("Normal", "Pulled", f"{text} Image size: {image.size} bytes.")
            return image
        if image is not None and not (policy == "Always" and image.is_pulled):
            self._present(name, reference, policy)
            return image
        if policy == "Never":
            text = f'Container image "{reference}" is not present with pull policy of Never'
            self.emit("Warning", "ErrImageNeverPull", text)
            self._block(name, "ErrImageNeverPull", text, NEVER_RETRY_SECONDS)
            return None
        self.emit("Normal", "Pulling", f'Pulling image "{reference}"')
        if self.node.puller is None:
            known = ", ".join(self.node.catalog.names)
            self._failed(
                name,
                reference,
                f'failed to pull image "{reference}": not in the catalog of this node '
                f"(it has {known}; --images adds more)",
            )
            return None
        self._pulling.add(name)
        self._wait(pod, container)
        self.supervisor.start(self._pull(pod, name, reference), f"pull {name}")
        return None

    def _present(self, name: str, reference: str, policy: str) -> None:
        self._delays.pop(name, None)
        if policy == "Always":
            # Loaded by hand or built in: there is nobody else to ask.
            self.emit("Normal", "Pulling", f'Pulling image "{reference}"')
            self.emit("Normal", "Pulled", f'Successfully pulled image "{reference}"')
        else:
            text = f'Container image "{reference}" already present on machine'
            self.emit("Normal", "Pulled", text)

    def _wait(self, pod: View, container: View) -> None:
        is_later = container in pod["spec"]["containers"] and pod["spec"].get("initContainers")
        reason = "PodInitializing" if is_later else "ContainerCreating"
        self._block(container["name"], reason, "", _PULL_SECONDS)

    async def _pull(self, pod: View, name: str, reference: str) -> None:
        assert self.node.puller is not None
        clock = self.node.clock
        begin, problem = clock.monotonic(), ""
        try:
            await self.node.puller.pull(reference, await self._credentials(pod))
        except RegistryError as found:
            problem = str(found)
        self._ended[name] = _Pulled(problem, clock.monotonic() - begin)
        self._pulling.discard(name)
        self.blocked.pop(name, None)
        self.wake()

    async def _credentials(self, pod: View) -> list[Credential]:
        """What the pod's pull secrets hold."""
        namespace = str(pod["metadata"].get("namespace", ""))
        found: list[Credential] = []
        missing = []
        for entry in pod["spec"].get("imagePullSecrets") or ():
            name = str(entry.get("name") or "")
            try:
                secret = await self.node.references.get("Secret", namespace, name)
            except APIError:
                secret = None
            if secret is None:
                missing.append(name)
            else:
                found += credentials_of(secret)
        if missing:
            text = (
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed."
            )
            self.emit("Warning", "FailedToRetrieveImagePullSecret", text)
        return found

    def _failed(self, name: str, reference: str, why: str) -> None:
        self.emit("Warning", "Failed", f'Failed to pull image "{reference}": {why}')
        self.emit("Warning", "Failed", "Error: ErrImagePull")
        first = name not in self._delays
        delay = BACKOFF_FIRST_SECONDS if first else self._delays[name] * 2
        self._delays[name] = min(delay, BACKOFF_MAX_SECONDS)
        if first:
            # Shown for one short moment before the back-off, as users expect both words.
            self._block(name, "ErrImagePull", why, self._delays[name])
        else:
            text = f'Back-off pulling image "{reference}": ErrImagePull: {why}'
            self._block(name, "ImagePullBackOff", text, self._delays[name])
            self.emit("Normal", "BackOff", f'Back-off pulling image "{reference}"')
            self.emit("Warning", "Failed", "Error: ImagePullBackOff")

    def _block(self, name: str, reason: str, message: str, seconds: float) -> None:
        self.blocked[name] = Blocked(reason, message, self.node.clock.time() + seconds)
