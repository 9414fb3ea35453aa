"""What the clusters of one program share: an event loop in a thread, and the warm parent of their processes.

A warm parent has everything imported that a member needs. With one of its own each cluster would import all of it
again; forked from a shared one, members start and restart in a fraction of a second.
"""

from kvstore.client.portal import Portal
from kvstore.local.spawn import CommandSpawner, WarmSpawner, make_spawner
from kvstore.local.topology import STORE_MODULES


class Host:
    """Give it to each `Cluster`, and close it after the last."""

    def __init__(self) -> None:
        self.portal = Portal("quorate-clusters")
        self._spawner: CommandSpawner | WarmSpawner | None = None

    async def spawner(self) -> CommandSpawner | WarmSpawner:
        """Where processes come from; on the portal's loop."""
        spawner = self._spawner
        if spawner is None or not spawner.is_open:
            self._spawner = spawner = make_spawner(STORE_MODULES)
            await spawner.start()
        return spawner

    def close(self) -> None:
        """End the warm parent and the loop. Idempotent."""
        if not self.portal.is_open:
            return
        try:
            if self._spawner is not None:
                self.portal.run(self._spawner.close)
        finally:
            self.portal.close()
