"""What a controller must provide: `reconcile(key) -> Result`."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from controlplane.api.meta import Key as Key

K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


@dataclass(frozen=True, slots=True)
class Result:
    """What to do with the key next."""

    after_seconds: float | None = None

    @staticmethod
    def done() -> "Result":
        """Nothing until something changes."""
        return _DONE

    @staticmethod
    def after(seconds: float) -> "Result":
        """Look again after this long, or when something changes."""
        return Result(max(0.0, seconds))


_DONE = Result()


class Terminal(Exception):
    """Retrying cannot help until the object changes."""


class Reconciler(Protocol[K_contra]):
    """Brings one object nearer to what is wanted. Exceptions mean: retry with backoff."""

    async def reconcile(self, key: K_contra) -> Result:
        """Observe through caches, plan, act."""
        ...
