"""Who writes, and how: what a handler passes to the registry with each write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import User

# live object -> the object wanted. May be asked again with a newer one, and may change the copy it is given.
Transform = Callable[[Obj], Awaitable[Obj]]


# The server itself, as it calls its own API.
LOOPBACK = User("system:apiserver", ("system:masters", "system:authenticated"))


@dataclass(frozen=True, slots=True)
class WriteContext:
    """The circumstances of one write; `api_version` is the group version of its URL."""

    api_version: str
    user: User
    manager: str = "unknown"
    subresource: str = ""
    is_dry_run: bool = False
    # Server-side apply has computed managedFields already.
    is_apply: bool = False
    # True where the handler has let in the body of a subresource itself, such as a Scale.
    is_admitted: bool = False
    # True where the request is about a whole collection.
    is_collection: bool = False
    # CreateOptions, UpdateOptions, PatchOptions or DeleteOptions, as plugins are told them.
    options: Obj = field(default_factory=dict)
    # Texts for Warning headers; the request's own list.
    warnings: list[str] = field(default_factory=list)
    # Notes for the audit log; the request's own.
    annotations: dict[str, str] = field(default_factory=dict)
