"""Measurements in which members start, die and come back: times of a cluster's life, and its memory.

A writer tries again at once after every error, as a client that must get through would: each try has a deadline of its
own, and the value is always the same, so a doubled write changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from cli.bench_cluster import StoreCluster, StoreMember
from cli.bench_measure import measure
from kvstore.base.clock import Clock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.testing.load.spec import LoadSpec

KEYS = 100_000
TRY_SECONDS = 0.5
PAUSE_SECONDS = 0.005


async def _first_write(cluster: StoreCluster, key: bytes, limit_seconds: float) -> float:
    """The clock's time when a write was acknowledged by any member; TimeoutError after `limit_seconds`.

    Each member is asked on its own, from the moment it takes connections: a client of all three would pause after
    refused connections, and longer each time, which would be counted for the members' own time.
    """
    clock = cluster.clock
    written: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def ask(member: StoreMember) -> None:
        await _wait_for_port(member, clock)
        async with Client([member.client_url], timeout_seconds=TRY_SECONDS) as client:
            while not written.done():
                try:
                    await client.put(key, b"value")
                except ClientError:
                    await clock.sleep(PAUSE_SECONDS)
                else:
                    if not written.done():
                        written.set_result(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(member)) for member in cluster.members]
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await written
        for task in tasks:
            task.cancel()
    if written.cancelled():
        raise TimeoutError(f"no write was acknowledged within {limit_seconds:g} s")
    return written.result()


async def _wait_for_port(member: StoreMember, clock: Clock) -> None:
    url = urlsplit(member.client_url)
    while True:
        try:
            _, writer = await asyncio.open_connection(url.hostname, url.port)
        except OSError:
            await clock.sleep(PAUSE_SECONDS)
        else:
            writer.close()
            return


async def time_to_first_write(cluster: StoreCluster, limit_seconds: float = 60.0) -> float:
    """Start all members that do not run; seconds from then to the first acknowledged write."""
    begun = cluster.clock.monotonic()
    for member in cluster.members:
        if not member.is_running:
            cluster.start(member)
    return await _first_write(cluster, b"bench-start", limit_seconds) - begun


async def _term(member: StoreMember) -> int:
    async with Client([member.client_url]) as client:
        return (await client.status(member.client_url)).raft_term


async def time_to_next_write(cluster: StoreCluster, *, limit_seconds: float = 60.0) -> float:
    """Kill the leader with signal 9; seconds until the next acknowledged write."""
    clock = cluster.clock
    leader = await cluster.leader()
    term = await _term(leader)
    async with cluster.client(timeout_seconds=TRY_SECONDS) as client:
        # A connection that is warm, as that of a client at work is.
        with suppress(ClientError):
            await client.put(b"bench-failover", b"value")
        begun = clock.monotonic()
        leader.kill()
        while True:
            try:
                await client.put(b"bench-failover", b"value")
                break
            except ClientError:
                if clock.monotonic() - begun > limit_seconds:
                    raise TimeoutError(f"no write within {limit_seconds:g} s") from None
                await clock.sleep(PAUSE_SECONDS)
        took = clock.monotonic() - begun
    # A term that did not rise would mean that the one killed was no leader: nothing was measured.
    if await _term(await cluster.leader()) <= term:
        raise ValueError(f"{leader.name} was killed as leader, but nobody was elected")
    cluster.start(leader)
    await cluster.wait_ready()
    return took


def resident_mib(cluster: StoreCluster) -> float:
    """The largest resident size of a member, in MiB."""
    sizes = []
    for member in cluster.members:
        if member.process is None:
            continue
        for line in Path(f"/proc/{member.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                sizes.append(int(line.split()[1]) / 1024)
    return max(sizes, default=0.0)


async def fill(cluster: StoreCluster, keys: int, value_size: int = 256) -> None:
    """Write `keys` keys, 64 a transaction."""
    leader = await cluster.leader()
    spec = LoadSpec(
        endpoints=[leader.client_url],
        workload="fill",
        clients=4,
        keys=keys,
        value_size=value_size,
    )
    figures = await measure(spec)
    if figures.errors:
        raise ValueError(f"filling failed: {figures.first_error}")


async def memory_and_restart(cluster: StoreCluster) -> tuple[float, float]:
    """(MiB of the largest member with `KEYS` keys, seconds from starting all again to the first write)."""
    await fill(cluster, KEYS)
    await cluster.clock.sleep(1.0)
    size = resident_mib(cluster)
    for member in cluster.members:
        member.kill()
    return size, await time_to_first_write(cluster)


async def memory_after_puts(
    cluster: StoreCluster, puts: int, on_progress: Callable[[int], Awaitable[None]] | None = None
) -> float:
    """MiB of the largest member after `puts` puts to few keys with a compaction every tenth of them."""
    leader = await cluster.leader()
    done = 0
    async with cluster.client() as client:
        while done < puts:
            figures = await measure(
                LoadSpec(
                    endpoints=[leader.client_url],
                    workload="put",
                    clients=64,
                    keys=10_000,
                    seconds=5.0,
                    warmup_seconds=0.0,
                )
            )
            done += max(figures.operations, 1)
            answer = await client.get(b"bench-start")
            await client.compact(answer.revision)
            if on_progress is not None:
                await on_progress(done)
    await cluster.clock.sleep(2.0)
    return resident_mib(cluster)
