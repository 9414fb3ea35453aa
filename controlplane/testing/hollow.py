"""Nodes on which nothing runs: every image is there, and containers live as rules say.

A container runs until its rule's time is over; without a rule it runs until it is stopped. All of it goes by the
cluster's clock.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.kubelet.images.image import Image
from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.interface import ContainerState
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor


@dataclass(frozen=True, slots=True)
class Life:
    """How long containers of an image run, and how they end.

    `image` is a pattern as shells have it (`*/job:*`); `seconds` None is until somebody stops them.
    """

    image: str = "*"
    seconds: float | None = None
    exit_code: int = 0

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds < 0:
            raise ValueError(f"seconds of a life must not be negative: {self.seconds}")
        if not 0 <= self.exit_code <= 255:
            raise ValueError(f"an exit code is 0 to 255, not {self.exit_code}")


class HollowCatalog(ImageCatalog):
    """Every image there could be."""

    def find(self, reference: str) -> Image | None:
        """An image that has something to run."""
        return Image(reference, entrypoint=("hollow",))


class HollowRuntime(FakeRuntime):
    """A runtime whose containers end by the first rule that fits; `lives` may be changed at any time."""

    def __init__(self, clock: Clock, lives: Sequence[Life] = ()) -> None:
        super().__init__(clock)
        self.lives = list(lives)
        self._ends = Supervisor("hollow")

    async def start_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        await super().start_container(container_id)
        life = self._life_of(self.configs[container_id].image)
        if life is not None and life.seconds is not None:
            self._ends.start(self._end(container_id, life, life.seconds), "life")

    async def close(self) -> None:
        """See `ContainerRuntime`."""
        await self._ends.stop(1.0)
        await super().close()

    def _life_of(self, image: str) -> Life | None:
        return next((one for one in self.lives if fnmatch.fnmatchcase(image, one.image)), None)

    async def _end(self, container_id: str, life: Life, seconds: float) -> None:
        await self._clock.sleep(seconds)
        status = self.containers.get(container_id)
        if status is not None and status.state is ContainerState.RUNNING:
            self.exit(container_id, life.exit_code)
