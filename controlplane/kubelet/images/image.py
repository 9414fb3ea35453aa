"""What an image is to a node: what runs, and in which files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Image:
    """As with real images, a pod's command replaces both lists."""

    name: str
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    workdir: str = ""
    root: str = ""
    """A folder of this machine to run in."""
    rootfs: str = ""
    """Where the image is unpacked; "" for one that stands for programs of this machine."""
    user: str = ""
    digest: str = ""
    """The image's own; "" for one that is only a meaning."""
    size: int = 0
    """Bytes of its files."""
    is_pulled: bool = False
    """Whether it came from a registry, which then can have another one under its name."""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name and digest, in the form clients expect; of a mere meaning the digest of that."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        text = json.dumps([self.name, self.entrypoint, self.arguments, self.workdir, self.root])
        return f"{self.name}@sha256:{hashlib.sha256(text.encode()).hexdigest()}"
