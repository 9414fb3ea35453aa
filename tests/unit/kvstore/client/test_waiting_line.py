"""The waiting line behind locks and elections, without a server."""

import asyncio
from typing import Any, cast

import pytest

from kvstore.client.errors import ClientError, PermissionDenied
from kvstore.client.lease import LeaseKeeper
from kvstore.client.queueing import Place


class Watcher:
    """Is refused at once."""

    is_closed = False

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> Any:
        raise PermissionDenied("etcdserver: permission denied")

    async def aclose(self) -> None:
        self.is_closed = True


class Client:
    """Gives watches out."""

    def __init__(self) -> None:
        self.watcher = Watcher()

    def watch(self, *_: Any, **__: Any) -> Watcher:
        return self.watcher


class Lease:
    """Is never lost."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()


async def test_a_refused_watch_of_who_is_ahead_is_one_error_of_the_clients() -> None:
    client = Client()
    lease = cast("LeaseKeeper", Lease())
    place = Place(cast("Any", client), "l", ttl_seconds=1, lease=lease)
    with pytest.raises(ClientError, match="permission denied"):
        await place._gone(b"l/1", 5)
    assert client.watcher.is_closed
