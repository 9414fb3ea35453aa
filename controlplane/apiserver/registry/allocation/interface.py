"""The `Allocator` protocol: what the registry asks around a write that needs something of a shared range."""

from typing import Protocol

from controlplane.api.meta import Obj


class Allocator(Protocol):
    """Takes and gives back; may wait."""

    async def allocate(self, obj: Obj) -> None:
        """Take what the object needs, and write it into the object, before it is created."""
        ...

    async def release(self, obj: Obj) -> None:
        """Give back what `allocate` took."""
        ...


class NoAllocator:
    """For kinds that take nothing."""

    async def allocate(self, obj: Obj) -> None:
        """Nothing."""

    async def release(self, obj: Obj) -> None:
        """Nothing."""
