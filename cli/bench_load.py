"""Load on a store, and what came of it: rates and latencies. The parts of `quorate bench` without a command line.

The load generator is this Python process; past some thousand requests a second it, not the store, is measured. Numbers
are therefore for comparing two stores under the same load, round by round, not for comparing with Go's benchmarks.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cli.bench_cluster import StoreCluster, StoreMember
from kvstore.base.clock import Clock, SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls

KINDS = ("put", "get", "get-serializable")


@dataclass(frozen=True, slots=True)
class Load:
    """What to do: `total` requests by `clients` tasks over `connections` clients."""

    kind: str = "put"
    clients: int = 64
    connections: int = 4
    total: int = 2000
    value_size: int = 256
    keys: int = 1000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of it; latencies in seconds, sorted, of the requests that succeeded."""

    seconds: float
    latencies: tuple[float, ...]
    errors: int

    @property
    def rate(self) -> float:
        """Successful requests a second."""
        return len(self.latencies) / self.seconds if self.seconds > 0 else 0.0

    def quantile(self, part: float) -> float:
        """The latency that `part` (0 to 1) of the requests did not exceed; 0 if there were none."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle; 0 for none."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return 0.0
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


async def run_load(
    endpoints: Sequence[str],
    load: Load,
    *,
    tls: ClientTls | None = None,
    clock: Clock | None = None,
) -> LoadResult:
    """Run one load; requests that fail are counted, not repeated."""
    clock, urls = clock or SystemClock(), list(endpoints)
    # Each client begins at another endpoint, so the load is spread as a fleet of clients would.
    starts = [number % len(urls) for number in range(load.connections)]
    clients = [Client(urls[at:] + urls[:at], tls=tls) for at in starts]
    latencies: list[float] = []
    errors = 0
    left = load.total

    async def worker(number: int) -> None:
        nonlocal left, errors
        rng = random.Random(load.seed * 1_000_003 + number)
        send = _request(clients[number % len(clients)], load, rng)
        while left > 0:
            left -= 1
            started = clock.monotonic()
            try:
                await send()
            except ClientError:
                errors += 1
            else:
                latencies.append(clock.monotonic() - started)

    try:
        for client in clients:
            await client.put(b"bench/0", rng_value(load))
        started = clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(load.clients):
                group.create_task(worker(number))
        seconds = clock.monotonic() - started
    finally:
        for client in clients:
            await client.close()
    return LoadResult(seconds, tuple(sorted(latencies)), errors)


def rng_value(load: Load) -> bytes:
    """The value all puts write: incompressible, the same for the same seed."""
    return random.Random(load.seed).randbytes(load.value_size)


def _request(client: Client, load: Load, rng: random.Random) -> Callable[[], Awaitable[object]]:
    value = rng_value(load)

    def key() -> bytes:
        return b"bench/%d" % rng.randrange(load.keys)

    match load.kind:
        case "put":
            return lambda: client.put(key(), value)
        case "get":
            return lambda: client.get(key())
        case "get-serializable":
            return lambda: client.get(key(), serializable=True)
        case _:
            raise ValueError(f"unknown load {load.kind!r}: expected {', '.join(KINDS)}")


async def _term(member: StoreMember) -> int:
    async with Client([member.client_url]) as client:
        return (await client.status(member.client_url)).raft_term


async def time_to_next_write(
    cluster: StoreCluster, key: bytes, *, limit_seconds: float = 60.0
) -> float:
    """Kill the leader with signal 9; seconds until the next acknowledged write; TimeoutError after `limit_seconds`.

    The writer tries again at once after every error, as a client that must get through would: each try has a deadline
    of its own, and the value is always the same, so a doubled write changes nothing.
    """
    clock = cluster.clock
    leader = await cluster.leader()
    term = await _term(leader)
    async with cluster.client(timeout_seconds=0.5) as client:
        with suppress(ClientError):
            await client.put(key, b"before")
        killed_at = clock.monotonic()
        leader.kill()
        while clock.monotonic() - killed_at < limit_seconds:
            try:
                await client.put(key, b"after")
            except ClientError:
                await clock.sleep(0.005)
            else:
                took = clock.monotonic() - killed_at
                # A term that did not rise would mean that the one killed was no leader: nothing was measured.
                if await _term(await cluster.leader()) <= term:
                    raise ValueError(f"{leader.name} was killed as leader, but nobody was elected")
                return took
    raise TimeoutError(
        f"no write was acknowledged within {limit_seconds:g} s after the leader's death"
    )
