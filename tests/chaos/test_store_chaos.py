"""Real members killed and paused by a seed, under writers, readers and a watcher; then the verdict.

Checked: every acknowledged write is there, with the revision that was acknowledged; no read sees less than what was
acknowledged before it began; a watch sees every change once and in order, and exactly what is stored; all members have
the same hash at the end. CHAOS_SEED and CHAOS_SECONDS choose a longer run (`make chaos SEED=7 DURATION=600`).
"""

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controlplane.local.control import ask
from controlplane.local.topology import Layout
from kvstore.base.clock import SystemClock
from kvstore.client.client import Client, ClientTls
from kvstore.client.errors import ClientError

SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120 + 2 * int(SECONDS))]

MEMBERS = ("master-1", "master-2", "master-3")
SETTINGS = "[cluster]\nkubernetes_port = 0\n" + "".join(
    f'[[masters]]\nname = "{m}"\n' for m in MEMBERS
)
PREFIX, END = b"chaos/", b"chaos0"


@dataclass
class Record:
    """What clients saw."""

    acknowledged: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Key -> (revision, value) of its last acknowledged write; each key has one writer."""
    highest: int = 0
    unknown: int = 0
    stale: list[str] = field(default_factory=list)
    seen: list[tuple[int, bytes, bytes]] = field(default_factory=list)


def quorate(*argv: str, folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "cli", *argv],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture
async def layout(tmp_path: Path) -> AsyncIterator[Layout]:
    (tmp_path / "cluster.toml").write_text(SETTINGS)
    quorate("up", "--only", "store", "--detach", "--state", "state", folder=tmp_path)
    layout = Layout(tmp_path / "state")
    yield layout
    quorate("down", "--state", "state", folder=tmp_path)


def client_of(layout: Layout) -> Client:
    cluster = json.loads(layout.cluster_file.read_text())
    tls = ClientTls(**cluster["store_tls"])
    return Client(cluster["store_endpoints"], tls=tls, timeout_seconds=3.0)


async def write(
    client: Client, record: Record, writer: int, rng: random.Random, until: float
) -> None:
    clock, number = SystemClock(), 0
    while clock.monotonic() < until:
        number += 1
        # A key whose last outcome is unknown is left alone: then what it must hold is known.
        key, value = PREFIX + b"%d/%d" % (writer, number % 7 + 10 * (number // 50)), b"%d" % number
        try:
            result = await client.put(key, value)
        except ClientError:
            record.unknown += 1
            record.acknowledged.pop(key, None)
            number += 50
            continue
        record.acknowledged[key] = (result.revision, value)
        record.highest = max(record.highest, result.revision)
        await asyncio.sleep(rng.random() / 200)


async def read(client: Client, record: Record, until: float) -> None:
    clock = SystemClock()
    while clock.monotonic() < until:
        floor = record.highest
        try:
            result = await client.get(PREFIX, range_end=END, count_only=True)
        except ClientError:
            continue
        if result.revision < floor:
            record.stale.append(f"read at {result.revision} after {floor} was acknowledged")
        await asyncio.sleep(0.005)


async def watch(client: Client, record: Record) -> None:
    async for batch in client.watch(PREFIX, range_end=END, start_revision=1):
        for event in batch.events:
            record.seen.append((event.kv.mod_revision, event.kv.key, event.kv.value))


async def break_things(layout: Layout, rng: random.Random, until: float) -> list[str]:
    """Faults by the seed, never more than one member down or frozen at a time for long; healed at the end."""
    clock, done = SystemClock(), []
    while clock.monotonic() < until:
        await asyncio.sleep(0.5 + rng.random())
        fault = rng.choice(["kill", "pause", "restart", "kill-all"])
        victim = rng.choice([*MEMBERS, "leader"])
        if victim == "leader":
            status = await ask(layout, "status")
            victim = str(rng.choice([p["group"] for p in status["processes"]]))
        names = list(MEMBERS) if fault == "kill-all" else [victim]
        operation, heal = {"pause": ("pause", "resume")}.get(fault, ("kill", "start"))
        if fault == "restart":
            operation, heal = "stop", "start"
        done.append(f"{fault} {' '.join(names)}")
        await ask(layout, operation, names)
        await asyncio.sleep(0.2 + rng.random())
        await ask(layout, heal, names)
    return done


async def test_promises_hold_while_members_die(layout: Layout) -> None:
    rng, record, clock = random.Random(SEED), Record(), SystemClock()
    clients = [client_of(layout) for _ in range(6)]
    until = clock.monotonic() + SECONDS
    watching = asyncio.ensure_future(watch(clients[5], record))
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            writer_rng = random.Random(rng.random())
            group.create_task(write(clients[number], record, number, writer_rng, until))
        group.create_task(read(clients[4], record, until))
        faults = group.create_task(break_things(layout, rng, until))
    story = f"seed {SEED}: {'; '.join(faults.result())}"

    stored = await clients[0].get(PREFIX, range_end=END)
    there = {kv.key: (kv.mod_revision, kv.value) for kv in stored.kvs}
    lost = {k: v for k, v in record.acknowledged.items() if there.get(k) != v}
    assert record.acknowledged, f"nothing was acknowledged; {story}"
    assert not lost, f"acknowledged and not there: {lost}; {story}"
    assert not record.stale, story

    deadline = clock.monotonic() + 20
    newest = max(kv.mod_revision for kv in stored.kvs)
    while not record.seen or record.seen[-1][0] < newest:
        assert clock.monotonic() < deadline, f"the watch did not arrive at {newest}; {story}"
        await asyncio.sleep(0.05)
    watching.cancel()
    revisions = [revision for revision, _, _ in record.seen]
    assert revisions == sorted(set(revisions)), f"doubled or reordered; {story}"
    # A write of unknown outcome may still come after the last read.
    last = {k: (revision, v) for revision, k, v in record.seen if revision <= stored.revision}
    assert last == there, f"the watch and the store differ; {story}"

    endpoints = json.loads(layout.cluster_file.read_text())["store_endpoints"]
    deadline = clock.monotonic() + 20
    while True:
        hashes = {
            (await clients[0].hash_kv(endpoint, revision=stored.revision)).hash
            for endpoint in endpoints
        }
        if len(hashes) == 1:
            break
        assert clock.monotonic() < deadline, f"members differ at {stored.revision}; {story}"
        await asyncio.sleep(0.1)
    for client in clients:
        await client.close()


async def test_a_clients_certificate_is_worth_nothing_at_a_peer_port(layout: Layout) -> None:
    """Members trust an authority of their own: the operator's certificate must not open their port."""
    cluster = json.loads(layout.cluster_file.read_text())
    files = cluster["store_tls"]
    context = ssl.create_default_context(cafile=str(layout.peer_certificates / "ca.crt"))
    context.load_cert_chain(files["cert_file"], files["key_file"])
    url = urlsplit(cluster["processes"][0]["addresses"]["peer"])

    async def knock() -> bytes:
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
        try:
            writer.write(b"\0" * 64)
            await writer.drain()
            return await asyncio.wait_for(reader.readexactly(1), 10)
        finally:
            writer.transport.abort()

    with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
        await knock()
