"""The `Allocator` protocol: what the registry asks around a write that needs something of a shared range.

What is taken for a write is an `Allocation`: it is committed when the write is stored and reverted when it is not. A
crash in between leaks it until it is repaired; nothing is ever given twice.
"""

from typing import Protocol

from controlplane.api.meta import Obj


class Allocation(Protocol):
    """What one write has taken, and what it will give back."""

    async def commit(self) -> None:
        """The write is stored: give back what the object no longer has."""
        ...

    async def revert(self) -> None:
        """The write has failed: give back what was taken for it."""
        ...


class Allocator(Protocol):
    """Takes and gives back; may wait, and may refuse with Invalid."""

    async def for_create(self, obj: Obj, *, is_dry_run: bool) -> Allocation:
        """Complete a new object, before its rules are asked. A dry run shows what would be taken and takes nothing."""
        ...

    async def for_update(self, obj: Obj, live: Obj, *, is_dry_run: bool) -> Allocation:
        """Complete the object that is to take the place of `live`."""
        ...

    async def release(self, obj: Obj) -> None:
        """Give back all that an object had which is gone."""
        ...


class NoAllocation:
    """Nothing was taken."""

    async def commit(self) -> None:
        """Nothing."""

    async def revert(self) -> None:
        """Nothing."""


class NoAllocator:
    """For kinds that take nothing."""

    async def for_create(self, obj: Obj, *, is_dry_run: bool) -> Allocation:
        """Nothing."""
        return NoAllocation()

    async def for_update(self, obj: Obj, live: Obj, *, is_dry_run: bool) -> Allocation:
        """Nothing."""
        return NoAllocation()

    async def release(self, obj: Obj) -> None:
        """Nothing."""
