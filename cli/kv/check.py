"""check perf and check datascale: is this cluster good enough for a load? Sizes and limits are etcdctl's."""

import asyncio
import math
import random
import re
import statistics
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cli.kv.flags import Flag, Values
from cli.kv.session import EXIT_BAD_FEATURE, Exit, Session, fail, session_from, tell, write
from cli.kv.tree import Command
from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.ops import prefix_end

_SIZES = {"s": "s", "small": "s", "m": "m", "medium": "m", "l": "l", "large": "l"} | {
    "xl": "xl",
    "xLarge": "xl",
}
# Writes a second, and clients.
_PERF = {"s": (150, 50), "m": (1000, 200), "l": (8000, 500), "xl": (15_000, 1000)}
# Keys, and clients.
_SCALE = {"s": (10_000, 50), "m": (100_000, 200), "l": (1_000_000, 500), "xl": (3_000_000, 1000)}
_PERF_SECONDS = 60
_VALUE_BYTES = 1024
_SLOWEST_SECONDS = 0.5
_DEVIATION_SECONDS = 0.1
_LEAST_PART = 0.9
_MEGABYTE = 1024 * 1024


def commands() -> list[Command]:
    """The commands of this module."""
    common = (
        Flag("auto-compact", help="compact the store afterwards"),
        Flag("auto-defrag", help="give space back afterwards"),
        Flag("load", "string", "s", "size: s(mall), m(edium), l(arge) or xl(arge)"),
    )
    prefix = Flag("prefix", "string", "/etcdctl-check-perf/", "where the keys are written")
    seconds = Flag("seconds", "int", _PERF_SECONDS, "how long to write (etcdctl: always 60)")
    scale = Flag("prefix", "string", "/etcdctl-check-datascale/", "where the keys are written")
    below = [
        Command(
            "perf",
            "Checks how fast the cluster writes",
            "[options]",
            _perf,
            (*common, prefix, seconds),
        ),
        Command(
            "datascale",
            "Checks how much memory data takes",
            "[options]",
            _datascale,
            (*common, scale),
        ),
    ]
    return [Command("check", "Commands that check a cluster", "<subcommand>", children=below)]


@dataclass(slots=True)
class Load:
    """What a run of writes came to."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Acknowledged writes a second."""
        return len(self.took) / self.seconds if self.seconds else 0.0


def _size(values: Values) -> str:
    if values["load"] not in _SIZES:
        fail(f"unknown load option {values['load']}", EXIT_BAD_FEATURE)
    return _SIZES[values["load"]]


async def _writes(
    session: Session, prefix: bytes, total: int, clients: int, rate: float | None
) -> Load:
    """`total` puts by `clients` at once, begun at `rate` a second or as fast as they go."""
    clock = SystemClock()
    rng = random.Random()
    load = Load()
    # Connections are shared: more of them than members make nothing faster.
    connections = [session.client() for _ in range(min(clients, 8))]
    begun = clock.monotonic()
    turn = iter(range(total))

    async def one(client: Client) -> None:
        for number in turn:
            if rate is not None:
                await clock.sleep(begun + number / rate - clock.monotonic())
            key = prefix + b"%016x" % rng.getrandbits(64)
            started = clock.monotonic()
            try:
                await client.put(key, rng.randbytes(_VALUE_BYTES))
            except ClientError as error:
                load.errors[error.message] += 1
            else:
                load.took.append(clock.monotonic() - started)

    try:
        async with asyncio.TaskGroup() as group:
            for index in range(clients):
                group.create_task(one(connections[index % len(connections)]))
    finally:
        for client in connections:
            await client.close()
    load.seconds = clock.monotonic() - begun
    return load


async def _require_empty(client: Client, prefix: bytes) -> None:
    found = await client.get(prefix, range_end=prefix_end(prefix), limit=1)
    if found.kvs:
        shown = prefix.decode(errors="replace")
        fail(f'prefix "{shown}" has keys. Delete with `etcdctl del --prefix {shown}` first.')


async def _clean(client: Client, values: Values, session: Session, prefix: bytes) -> None:
    deleted = await client.delete(prefix, range_end=prefix_end(prefix))
    if values["auto-compact"]:
        write(b"Compacting with revision %d\n" % deleted.revision)
        await client.compact(deleted.revision, physical=True)
        write(b"Compacted with revision %d\n" % deleted.revision)
    if values["auto-defrag"]:
        for endpoint in session.endpoints:
            write(f'Defragmenting "{endpoint}"\n'.encode())
            await client.defragment(endpoint, timeout_seconds=60.0)
            write(f'Defragmented "{endpoint}"\n'.encode())


def verdicts(load: Load, limit: float) -> tuple[list[str], bool]:
    """What is said about a load that should have written `limit` a second, and whether it passed."""
    lines: list[str] = []
    is_good = True
    if load.errors or not load.took:
        lines.append("FAIL: too many errors")
        lines += [f"FAIL: ERROR({message}) -> {count}" for message, count in load.errors.items()]
        is_good = False
    slowest = max(load.took, default=math.inf)
    deviation = statistics.pstdev(load.took) if load.took else math.inf
    for is_bad, bad, good in (
        (
            load.per_second / limit <= _LEAST_PART,
            f"Throughput too low: {int(load.per_second)} writes/s",
            f"Throughput is {int(load.per_second)} writes/s",
        ),
        (
            slowest > _SLOWEST_SECONDS,
            f"Slowest request took too long: {slowest:f}s",
            f"Slowest request took {slowest:f}s",
        ),
        (
            deviation > _DEVIATION_SECONDS,
            f"Stddev too high: {deviation:f}s",
            f"Stddev is {deviation:f}s",
        ),
    ):
        lines.append(f"FAIL: {bad}" if is_bad else f"PASS: {good}")
        is_good = is_good and not is_bad
    return [*lines, "PASS" if is_good else "FAIL"], is_good


def _perf(values: Values) -> None:
    limit, clients = _PERF[_size(values)]
    session = session_from(values)
    prefix = values["prefix"].encode()

    async def command(client: Client) -> Load:
        await _require_empty(client, prefix)
        try:
            total = limit * max(values["seconds"], 1)
            return await _writes(session, prefix, total, clients, limit)
        finally:
            await _clean(client, values, session, prefix)

    lines, is_good = verdicts(session.run(command), limit)
    write("".join(f"{line}\n" for line in lines).encode())
    if not is_good:
        raise Exit(1)


_RESIDENT = re.compile(rb"^process_resident_memory_bytes\s+(\S+)", re.MULTILINE)


def _memory(session: Session, endpoints: Sequence[str]) -> list[float]:
    """Bytes each endpoint's process takes, from its metrics; those that do not tell are left out."""
    sizes: list[float] = []
    for endpoint in endpoints:
        base = (
            endpoint
            if "://" in endpoint
            else ("https" if session.tls else "http") + f"://{endpoint}"
        )
        try:
            with urllib.request.urlopen(f"{base}/metrics", timeout=5.0) as answer:
                found = _RESIDENT.search(answer.read())
        except (OSError, ValueError, urllib.error.URLError) as error:
            tell(f"{endpoint}: {error}")
            continue
        if found is not None:
            sizes.append(float(found.group(1)))
    return sizes


def _datascale(values: Values) -> None:
    total, clients = _SCALE[_size(values)]
    session = session_from(values)
    prefix = values["prefix"].encode()

    async def command(client: Client) -> tuple[Load, float | None]:
        loop = asyncio.get_running_loop()
        await _require_empty(client, prefix)
        write(
            b"Start data scale check for work load [%d key-value pairs, %d bytes per key-value, "
            b"%d concurrent clients].\n" % (total, _VALUE_BYTES, clients)
        )
        before = await loop.run_in_executor(None, _memory, session, session.endpoints)
        try:
            load = await _writes(session, prefix, total, clients, None)
            after = await loop.run_in_executor(None, _memory, session, session.endpoints)
        finally:
            await _clean(client, values, session, prefix)
        if not before or len(before) != len(after):
            return load, None
        return load, max(one - other for one, other in zip(after, before, strict=True))

    load, used = session.run(command)
    if used is None:
        write(
            b"FAIL: Could not read process_resident_memory_bytes before/after the put operations.\n"
        )
        raise Exit(1)
    if load.errors:
        write(b"FAIL: too many errors\n")
        for message, count in load.errors.items():
            write(f"FAIL: ERROR({message}) -> {count}\n".encode())
        raise Exit(1)
    write(f"PASS: Approximate system memory used : {used / _MEGABYTE:.2f} MB.\n".encode())
