"""The client against three members, of our store and of a real etcd, of which some are killed or frozen."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.bench_cluster import OURS, StoreCluster, etcd_program
from kvstore.client import errors
from kvstore.client.client import Client, prefix_end


@pytest.fixture(params=["ours", "etcd"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreCluster]:
    program = OURS if request.param == "ours" else etcd_program()
    if program is None:
        pytest.skip("etcd is not installed")
    async with StoreCluster(program, tmp_path) as started:
        yield started


async def put_until_done(client: Client, key: bytes, value: bytes) -> None:
    """Put, again after each retryable error; the value is the same, so a double is harmless."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.put(key, value)
                return
            except errors.ClientError as error:
                if not error.retryable:
                    raise


async def test_killed_members_are_left_behind(cluster: StoreCluster) -> None:
    async with cluster.client() as client:
        await client.put(b"a", b"1")
        cluster.members[0].kill()
        assert (await client.get(b"a")).kvs[0].value == b"1"
        await put_until_done(client, b"a", b"2")
        assert (await client.get(b"a")).kvs[0].value == b"2"


async def test_frozen_member_does_not_eat_the_deadline(cluster: StoreCluster) -> None:
    async with cluster.client() as client:
        await client.put(b"a", b"1")
        leader = await cluster.leader()
        follower = next(m for m in cluster.members if m is not leader)
        async with Client([follower.client_url, leader.client_url], timeout_seconds=8.0) as second:
            await second.get(b"a")
            follower.signal(signal.SIGSTOP)
            async with asyncio.timeout(60):
                assert (await second.get(b"a")).kvs[0].value == b"1"


async def test_watch_moves_without_gap_or_repeat(cluster: StoreCluster) -> None:
    total, seen = 60, []
    async with (
        cluster.client() as client,
        cluster.client() as writer,
        client.watch(b"w/", range_end=prefix_end(b"w/")) as watcher,
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
    ):

        async def write() -> None:
            for number in range(total):
                await put_until_done(writer, b"w/%03d" % number, b"")
                if number in (20, 40):
                    # First the member that serves the watch, then whoever leads.
                    index = 0 if number == 20 else cluster.members.index(await cluster.leader())
                    cluster.members[index].kill()
                    cluster.start(cluster.members[index])

        group.create_task(write())
        async for batch in watcher:
            seen.extend((event.kv.mod_revision, event.kv.key) for event in batch.events)
            if seen and seen[-1][1] == b"w/%03d" % (total - 1):
                break
    assert seen == sorted(set(seen))
    assert {key for _, key in seen} == {b"w/%03d" % number for number in range(total)}


async def test_leadership_can_be_handed_over(cluster: StoreCluster) -> None:
    async with cluster.client() as client:
        status = await client.status()
        target = next(m for m in (await client.member_list()).members if m.id != status.leader)
        await client.move_leader(target.id)
        async with asyncio.timeout(60):
            while (await client.status()).leader != target.id:
                await asyncio.sleep(0.05)
