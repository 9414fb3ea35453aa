"""Disks that take longer for a sync than an election takes: writes wait, leadership does not move."""

import asyncio
from pathlib import Path

from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.faults.kinds import DiskFault
from kvstore.local.store import StoreCluster
from kvstore.local.topology import StoreSettings

SYNC_SECONDS = 1.5
SETTINGS = StoreSettings(heartbeat_interval_ms=100, election_timeout_ms=1000)


async def terms(client: Client, endpoints: list[str]) -> set[int]:
    """The terms that the members are in."""
    return {(await client.status(endpoint)).raft_term for endpoint in endpoints}


async def test_a_sync_longer_than_the_election_timeout_costs_no_election(tmp_path: Path) -> None:
    cluster = StoreCluster(tmp_path, ("m1", "m2", "m3"), SystemClock(), SETTINGS)
    try:
        await cluster.start_cluster()
        endpoints = list(cluster.endpoints.values())
        async with Client(endpoints) as client:
            await client.put(b"before", b"1")
            before = await terms(client, endpoints)
            for member in cluster.members:
                await cluster.faults.disk(member, DiskFault(slow_fsync_seconds=SYNC_SECONDS))
            clock = SystemClock()
            begun = clock.monotonic()
            await asyncio.gather(*(client.put(b"slow-%d" % n, b"2") for n in range(20)))
            # Had the disk been quick after all, nothing would have been tried.
            assert clock.monotonic() - begun > SYNC_SECONDS
            await cluster.heal()
            assert await terms(client, endpoints) == before
            assert (await client.get(b"slow-19")).kvs[0].value == b"2"
    finally:
        await cluster.stop_cluster()
