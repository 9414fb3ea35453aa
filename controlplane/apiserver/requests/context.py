"""Who writes, and how: what a handler passes to the registry with each write."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.api.meta import Obj

# live object -> the object wanted; must be pure, and may change the copy it is given.
Transform = Callable[[Obj], Obj]


@dataclass(frozen=True, slots=True)
class WriteContext:
    """The circumstances of one write; `api_version` is the group version of its URL."""

    api_version: str
    user: str = ""
    manager: str = "unknown"
    subresource: str = ""
    is_dry_run: bool = False
    # Server-side apply has computed managedFields already.
    is_apply: bool = False
