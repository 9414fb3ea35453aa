"""The client against a member of our store and of a real etcd: results, errors, watches, leases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.bench_cluster import OURS, StoreCluster, etcd_program
from kvstore.client import errors
from kvstore.client.client import (
    Client,
    compare_create,
    compare_mod,
    compare_value,
    compare_version,
    op_delete,
    op_get,
    op_put,
    op_txn,
    prefix_end,
)
from kvstore.client.lease import LeaseKeeper
from kvstore.client.types import SortOrder, SortTarget


@pytest.fixture(params=["ours", "etcd"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreCluster]:
    program = OURS if request.param == "ours" else etcd_program()
    if program is None:
        pytest.skip("etcd is not installed")
    async with StoreCluster(program, tmp_path, size=1) as started:
        yield started


@pytest.fixture
async def client(cluster: StoreCluster) -> AsyncIterator[Client]:
    async with cluster.client() as opened:
        yield opened


async def test_keys_live_and_die(client: Client) -> None:
    first = await client.put(b"a", b"1")
    second = await client.put(b"a", b"2", prev_kv=True)
    assert second.revision == first.revision + 1
    assert second.prev_kv is not None
    assert second.prev_kv.value == b"1"
    found = await client.get(b"a")
    assert [(kv.key, kv.value, kv.version) for kv in found.kvs] == [(b"a", b"2", 2)]
    assert (found.kvs[0].create_revision, found.kvs[0].mod_revision) == (
        first.revision,
        second.revision,
    )
    assert (await client.get(b"a", revision=first.revision)).kvs[0].value == b"1"
    assert (await client.get(b"a", serializable=True)).count == 1
    deleted = await client.delete(b"a", prev_kv=True)
    assert (deleted.deleted, deleted.prev_kvs[0].value) == (1, b"2")
    assert (await client.get(b"a")).kvs == ()


async def test_ranges_are_limited_sorted_and_counted(client: Client) -> None:
    for name, value in ((b"k/a", b"3"), (b"k/b", b"1"), (b"k/c", b"2"), (b"l", b"")):
        await client.put(name, value)
    end = prefix_end(b"k/")
    piece = await client.get(b"k/", range_end=end, limit=2)
    assert ([kv.key for kv in piece.kvs], piece.more, piece.count) == ([b"k/a", b"k/b"], True, 3)
    by_value = await client.get(
        b"k/", range_end=end, sort_order=SortOrder.DESCEND, sort_target=SortTarget.VALUE
    )
    assert [kv.value for kv in by_value.kvs] == [b"3", b"2", b"1"]
    assert (await client.get(b"k/", range_end=end, keys_only=True)).kvs[0].value == b""
    counted = await client.get(b"k/", range_end=b"\0", count_only=True)
    assert (counted.count, counted.kvs) == (4, ())
    assert (await client.delete(b"k/", range_end=end)).deleted == 3


async def test_transactions_choose_a_branch(client: Client) -> None:
    made = await client.txn([compare_mod(b"t", "=", 0)], [op_put(b"t", b"1")], [op_get(b"t")])
    assert made.succeeded
    again = await client.txn(
        [compare_create(b"t", "=", 0)],
        [op_put(b"t", b"2")],
        [op_get(b"t"), op_txn([compare_value(b"t", "=", b"1")], [op_delete(b"t")], [])],
    )
    assert not again.succeeded
    assert again.range(0).kvs[0].value == b"1"
    assert (await client.txn([compare_version(b"t", "<", 1)], [], [])).succeeded


async def test_errors_have_their_classes(client: Client) -> None:
    revision = (await client.put(b"e", b"1")).revision
    await client.put(b"e", b"2")
    await client.compact(revision + 1)
    with pytest.raises(errors.Compacted):
        await client.get(b"e", revision=revision)
    with pytest.raises(errors.FutureRevision):
        await client.get(b"e", revision=revision + 100)
    with pytest.raises(errors.EmptyKey):
        await client.put(b"", b"")
    with pytest.raises(errors.LeaseNotFound):
        await client.put(b"e", b"", lease=77)
    with pytest.raises(errors.KeyNotFound):
        await client.put(b"none", b"", ignore_value=True)
    with pytest.raises(errors.DuplicateKey):
        await client.txn([], [op_put(b"e", b"1"), op_put(b"e", b"2")])
    with pytest.raises(errors.LeaseNotFound):
        await client.lease_revoke(77)
    with pytest.raises(errors.LeaseNotFound):
        await client.lease_keep_alive(77)
    with pytest.raises(errors.RequestTooLarge):
        await client.put(b"e", b"x" * 2_000_000)


async def test_no_endpoint_is_a_known_outcome_within_the_deadline() -> None:
    async with Client(["http://127.0.0.1:1"], timeout_seconds=0.5) as client:
        with pytest.raises(errors.NotConnected) as caught:
            await client.put(b"a", b"1")
    assert caught.value.retryable
    assert caught.value.outcome_known


async def test_watch_tells_history_then_news(client: Client) -> None:
    first = (await client.put(b"w/1", b"1")).revision
    await client.delete(b"w/1")
    watcher = client.watch(b"w/", range_end=prefix_end(b"w/"), start_revision=first, prev_kv=True)
    events = []
    async with watcher, asyncio.timeout(60):
        await client.put(b"w/2", b"2")
        async for batch in watcher:
            events.extend(batch.events)
            if len(events) >= 3:
                break
    assert [(e.type, e.kv.key, e.kv.mod_revision) for e in events] == [
        ("PUT", b"w/1", first),
        ("DELETE", b"w/1", first + 1),
        ("PUT", b"w/2", first + 2),
    ]
    assert events[1].prev_kv is not None
    assert events[1].prev_kv.value == b"1"


async def test_watch_from_a_compacted_revision_says_what_is_left(client: Client) -> None:
    for number in range(5):
        revision = (await client.put(b"c", b"%d" % number)).revision
    await client.compact(revision)
    async with asyncio.timeout(60):
        with pytest.raises(errors.Compacted) as caught:
            await anext(client.watch(b"c", start_revision=2))
    assert caught.value.compact_revision == revision


async def test_progress_is_told_on_request(client: Client) -> None:
    async with client.watch(b"p") as watcher, asyncio.timeout(60):
        revision = (await client.put(b"elsewhere", b"")).revision
        await client.request_progress()
        batch = await anext(watcher)
    assert (batch.events, batch.revision) == ((), revision)


async def test_cancelled_reader_loses_nothing(client: Client) -> None:
    async with client.watch(b"r", range_end=prefix_end(b"r")) as watcher:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(watcher)
        await client.put(b"r1", b"")
        async with asyncio.timeout(60):
            assert (await anext(watcher)).events[0].kv.key == b"r1"


async def test_closing_ends_a_waiting_reader(client: Client) -> None:
    watcher = client.watch(b"x")
    await watcher.start()

    async def close() -> None:
        await watcher.aclose()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(close())
        assert [batch async for batch in watcher] == []


async def test_lease_takes_its_keys_along(client: Client) -> None:
    async with LeaseKeeper(client, ttl_seconds=2) as lease:
        await client.put(b"mine", b"", lease=lease.id)
        info = await client.lease_time_to_live(lease.id, with_keys=True)
        assert (info.granted_ttl, info.keys) == (2, (b"mine",))
        assert lease.id in (await client.lease_list()).ids
        assert (await client.lease_keep_alive(lease.id)).ttl == 2
        assert lease.is_valid
    assert (await client.get(b"mine")).kvs == ()
    assert (await client.lease_time_to_live(lease.id)).ttl == -1


async def test_a_revoked_lease_is_noticed(client: Client) -> None:
    async with asyncio.timeout(60), LeaseKeeper(client, ttl_seconds=2) as lease:
        await client.lease_revoke(lease.id)
        await lease.lost.wait()
        assert not lease.is_valid


async def test_members_and_maintenance(cluster: StoreCluster, client: Client) -> None:
    members = (await client.member_list()).members
    assert [(m.name, m.client_urls) for m in members] == [("m1", (cluster.endpoints[0],))]
    status = await client.status(cluster.endpoints[0])
    assert status.is_leader
    assert status.leader == members[0].id
    assert (await client.alarm_list()).alarms == ()
    assert (await client.hash_kv()).hash
    await client.defragment()
    assert sum([len(piece) async for piece in client.snapshot()]) > 0
    with pytest.raises(errors.ClientError):
        await client.move_leader(1)
