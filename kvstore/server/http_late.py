"""The HTTP face, loaded late: aiohttp is a quarter of what a member imports, and gRPC clients need none of it.

With metrics addresses it is loaded at once. Otherwise `warm` loads it in a thread once the member serves, so that the
first HTTP connection does not stop the event loop for the time of an import; one that comes before that waits.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from kvstore.wire.engine import Listen


class HttpFace(Protocol):
    """`kvstore.server.http.HttpServer`, without importing it."""

    async def start(self) -> tuple[Listen, ...]:
        """Bind and serve the metrics addresses."""
        ...

    def client_protocol(self) -> asyncio.Protocol:
        """What serves an HTTP/1 connection on a client port."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...


class LateHttp:
    """Builds the face by `make` when it is first needed; `load` only imports."""

    def __init__(
        self, make: Callable[[], HttpFace], load: Callable[[], object], *, is_needed: bool
    ) -> None:
        self._make, self._load = make, load
        self._is_needed = is_needed
        self._face: HttpFace | None = None
        self._is_stopped = False

    async def start(self) -> tuple[Listen, ...]:
        """Bind the metrics addresses, if there are any. Raises ListenError."""
        return await self._loaded().start() if self._is_needed else ()

    async def warm(self) -> None:
        """Import beside whatever the loop does."""
        await asyncio.to_thread(self._load)

    def client_protocol(self) -> asyncio.Protocol:
        """What serves an HTTP/1 connection on a client port."""
        return self._loaded().client_protocol()

    async def stop(self) -> None:
        """Close everything."""
        self._is_stopped = True
        if self._face is not None:
            await self._face.stop()

    def _loaded(self) -> HttpFace:
        if self._face is None:
            self._face = self._make()
        return self._face
