"""All members stand still at once, as when their machine does: nobody is given up for what nobody could hear."""

import asyncio
from pathlib import Path

from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.local.store import StoreCluster
from kvstore.local.topology import StoreSettings

SETTINGS = StoreSettings(heartbeat_interval_ms=50, election_timeout_ms=400)
FROZEN_SECONDS = 2.0


async def terms(client: Client, endpoints: list[str]) -> set[int]:
    """The terms that the members are in."""
    return {(await client.status(endpoint)).raft_term for endpoint in endpoints}


async def test_a_machine_that_stood_still_goes_on_under_the_same_leader(tmp_path: Path) -> None:
    clock = SystemClock()
    cluster = StoreCluster(tmp_path, ("m1", "m2", "m3"), clock, SETTINGS)
    try:
        await cluster.start_cluster()
        endpoints = list(cluster.endpoints.values())
        async with Client(endpoints, timeout_seconds=20.0) as client:
            await client.put(b"before", b"1")
            before = await terms(client, endpoints)
            for round_ in range(3):
                writes = asyncio.gather(
                    *(client.put(b"%d-%d" % (round_, n), b"2") for n in range(30))
                )
                cluster.pause(cluster.members)
                # Much longer than an election takes: whoever judged by the clock would stand.
                await clock.sleep(FROZEN_SECONDS)
                await cluster.resume(cluster.members)
                await writes
            assert await terms(client, endpoints) == before
    finally:
        await cluster.stop_cluster()
