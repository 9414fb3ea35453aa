"""What etcd's crashes, snapshots and pauses once did wrong, one test a bug, on real processes.

The numbers are etcd's issues; tests/contract/test_etcd_watch_bugs.py has those of watches and transactions. Writers put
keys of their own and note what was acknowledged; every round something is killed, paused or cut off at the worst
moment; at the end all that was acknowledged must be there, and members must have the same hash at the same revision.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.ops import prefix_end
from kvstore.client.types import PermissionType
from kvstore.faults.kinds import DiskFault
from kvstore.local.store import StoreCluster
from kvstore.local.topology import StoreSettings

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("m1", "m2", "m3")
SNAPSHOT_COUNT = 100


@contextlib.asynccontextmanager
async def running(folder: Path, *names: str) -> AsyncIterator[StoreCluster]:
    settings = StoreSettings(snapshot_count=SNAPSHOT_COUNT)
    cluster = StoreCluster(folder, names, SystemClock(), settings)
    try:
        await cluster.start_cluster()
        yield cluster
    finally:
        await cluster.stop_cluster()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreCluster]:
    async with running(tmp_path_factory.mktemp("three"), *NAMES) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreCluster]:
    async with running(tmp_path_factory.mktemp("single"), "m1") as cluster:
        yield cluster


async def fill(client: Client, prefix: bytes, value: bytes) -> None:
    """More writes than there are between two snapshots, twice."""
    for _ in range(0, SNAPSHOT_COUNT * 2 + 20, 20):
        await asyncio.gather(*(client.put(prefix + b"%d" % n, value) for n in range(20)))


def client_of(cluster: StoreCluster, *names: str, **options: str) -> Client:
    endpoints = [cluster.endpoints[name] for name in names or cluster.members]
    return Client(endpoints, timeout_seconds=5.0, **options)


async def until(condition: Callable[[], Awaitable[object]], what: str, seconds: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        with contextlib.suppress(ClientError):
            if await condition():
                return
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)


class Writers:
    """Some clients that write until told to end, and what was acknowledged to them."""

    def __init__(self, cluster: StoreCluster, prefix: bytes, count: int = 4) -> None:
        self._cluster = cluster
        self._prefix = prefix
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []
        self._more = asyncio.Condition()
        self.acknowledged: dict[bytes, bytes] = {}
        self.revision = 0

    async def __aenter__(self) -> "Writers":
        self._tasks = [asyncio.ensure_future(self._write(n)) for n in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def some(self, count: int = 40) -> None:
        """Wait for so many more acknowledgements."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(40), self._more:
            await self._more.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def _write(self, writer: int) -> None:
        async with client_of(self._cluster) as client:
            number = 0
            while True:
                number += 1
                key, value = b"%s/%d/%d" % (self._prefix, writer, number), b"%d" % number
                try:
                    answer = await client.put(key, value)
                except ClientError:
                    await asyncio.sleep(0.01)
                    continue
                self.acknowledged[key] = value
                self.revision = max(self.revision, answer.header.revision)
                async with self._more:
                    self._more.notify_all()

    async def check(self) -> None:
        """All that was acknowledged up to now is there."""
        acknowledged, revision = dict(self.acknowledged), self.revision
        async with client_of(self._cluster) as client:
            found = await client.get(self._prefix, range_end=prefix_end(self._prefix))
        kept = {kv.key: kv.value for kv in found.kvs}
        lost = {key for key, value in acknowledged.items() if kept.get(key) != value}
        assert not lost
        assert found.header.revision >= revision


async def check_same(cluster: StoreCluster) -> None:
    """All members come to the same revision, with the same hash there."""

    async def hashes() -> bool:
        found = set()
        async with client_of(cluster) as client:
            revision = (await client.get(b"none")).header.revision
            for url in cluster.endpoints.values():
                found.add((await client.hash_kv(url, revision=revision)).hash)
        return len(found) == 1

    await until(hashes, "equal hashes")


async def test_13766_no_member_differs_after_crashes_under_load(three: StoreCluster) -> None:
    for name in NAMES:
        await three.faults.disk(name, DiskFault(torn_on_kill=True))
    async with Writers(three, b"13766") as writers:
        for victims in (["m2", "m3"], list(NAMES)):
            await writers.some()
            await three.kill(victims)
            assert await three.start(victims) == []
        await writers.some()
    await three.faults.clear()
    await check_same(three)
    await writers.check()


async def test_14370_a_single_member_acknowledges_nothing_it_can_lose(single: StoreCluster) -> None:
    # What was not synced is gone with the process, as with the power.
    await single.faults.disk("m1", DiskFault(torn_on_kill=True))
    async with Writers(single, b"14370", 8) as writers:
        for _ in range(3):
            # The acknowledgement that is waited for is the moment of the crash.
            await writers.some(20)
            await single.kill(["m1"])
            assert await single.start(["m1"]) == []
            await writers.check()
    await single.faults.clear()


async def test_14685_a_crash_within_defragmentation_loses_nothing(three: StoreCluster) -> None:
    async with Writers(three, b"14685") as writers:
        for victim in ("m1", await three.leader()):
            await writers.some()
            async with client_of(three) as client:
                await client.compact(writers.revision)
                begun = asyncio.ensure_future(client.defragment(three.endpoints[victim]))
                # Let the request leave; the kill then comes before, within or just after its work.
                await asyncio.sleep(0.002)
                await three.kill([victim])
                await asyncio.gather(begun, return_exceptions=True)
            assert await three.start([victim]) == []
        await writers.some()
    await check_same(three)
    await writers.check()


async def test_17780_the_revision_does_not_fall_after_a_crash_in_compaction(
    single: StoreCluster,
) -> None:
    async with client_of(single) as client:
        await fill(client, b"a", b"1")
        # Nothing that exists is as new as the revision: the last one only deleted.
        last = (await client.delete(b"a", range_end=b"b")).header.revision
    for _ in range(2):
        async with client_of(single) as client:
            await client.compact(last, physical=True)
            begun = asyncio.ensure_future(client.defragment())
            await asyncio.sleep(0.002)
            await single.kill(["m1"])
            await asyncio.gather(begun, return_exceptions=True)
        assert await single.start(["m1"]) == []
        async with client_of(single) as client:
            assert (await client.get(b"a0")).header.revision == last
            # And the deletion at the compacted revision is still to be seen (#18089).
            async with client.watch(b"a", range_end=b"b", start_revision=last) as watch:
                batch = await asyncio.wait_for(anext(aiter(watch)), 10)
            assert {(e.type, e.kv.mod_revision) for e in batch.events} == {("DELETE", last)}
            await client.put(b"a", b"1")
            last = (await client.delete(b"a")).header.revision


async def test_18055_a_follower_survives_two_snapshots_in_short_order(three: StoreCluster) -> None:
    leader = await three.leader()
    victim = next(name for name in NAMES if name != leader)
    others = [name for name in NAMES if name != victim]
    pid = three.process(victim).pid
    async with client_of(three, *others) as client:
        for turn in range(2):
            await three.faults.partition([[victim], others])
            # The log that it would need is gone when it is back.
            await fill(client, b"18055/", b"%d" % turn)
            await three.faults.clear()
    await check_same(three)
    assert three.process(victim).pid == pid
    async with client_of(three, victim) as client:
        assert (await client.get(b"18055/0")).kvs[0].value == b"1"


async def test_20418_15271_no_stale_read_and_no_old_event_after_a_pause(
    three: StoreCluster,
) -> None:
    async with client_of(three) as client:
        first = (await client.put(b"k", b"0")).header.revision
    seen: list[tuple[int, bytes]] = []

    async def watch() -> None:
        async with (
            client_of(three) as own,
            own.watch(b"k", start_revision=first, progress_notify=True) as events,
        ):
            async for batch in events:
                seen.extend((e.kv.mod_revision, e.kv.value) for e in batch.events)

    watcher = asyncio.ensure_future(watch())
    for number in range(1, 7):
        leader = await three.leader()
        # A leader that does not know that it was deposed, and a follower that lags.
        victim = leader if number % 2 else next(n for n in NAMES if n != leader)
        others = [name for name in NAMES if name != victim]
        async with client_of(three, victim) as old, client_of(three, *others) as client:
            await old.get(b"k")
            three.pause([victim])
            # These wait in its sockets and are the first that it hears.
            early = [asyncio.ensure_future(old.get(b"k")) for _ in range(3)]
            await until(lambda c=client, n=number: c.put(b"k", b"%d" % n), "a write")
            late = [asyncio.ensure_future(old.get(b"k")) for _ in range(3)]
            await asyncio.sleep(0)
            await three.resume([victim])
            await asyncio.gather(*early, return_exceptions=True)
            for answer in await asyncio.gather(*late, return_exceptions=True):
                # A refusal is honest, an old value is not.
                if not isinstance(answer, ClientError):
                    assert not isinstance(answer, BaseException), answer
                    assert answer.kvs[0].value == b"%d" % number
        await until(lambda v=victim: client_reads(three, v), f"{victim} is back")

    async def told() -> bool:
        return bool(seen) and seen[-1][1] == b"6"

    await until(told, "the last event")
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    revisions = [revision for revision, _ in seen]
    assert revisions == sorted(set(revisions))
    values = [int(value) for _, value in seen]
    # A write whose answer was lost may be there twice, in two revisions.
    assert values == sorted(values)
    assert set(values) == set(range(7))


async def client_reads(cluster: StoreCluster, name: str) -> bool:
    async with client_of(cluster, name) as client:
        return bool((await client.get(b"k")).kvs)


async def test_a_new_leader_gives_leases_their_whole_time(three: StoreCluster) -> None:
    leader = await three.leader()
    follower = next(name for name in NAMES if name != leader)
    async with client_of(three, follower) as client:
        lease = (await client.lease_grant(8)).id
        await client.put(b"leased", b"1", lease=lease)

        async def is_older() -> bool:
            return (await client.lease_time_to_live(lease)).ttl <= 5

        await until(is_older, "some of its time is over")
        await three.kill([leader])

        async def is_young() -> bool:
            return (await client.lease_time_to_live(lease)).ttl >= 6

        await until(is_young, "its whole time again", 10)
        # Through a follower, where the new leader is another one, or the leader itself.
        assert (await client.lease_keep_alive(lease)).ttl == 8

        async def is_gone() -> bool:
            return not (await client.get(b"leased")).kvs

        assert not await is_gone()
        await until(is_gone, "its end")
        assert (await client.lease_time_to_live(lease)).ttl == -1
    assert await three.start([leader]) == []


async def test_14571_permissions_are_the_same_on_a_member_filled_from_a_snapshot(
    three: StoreCluster,
) -> None:
    async with client_of(three) as client:
        await client.role_add("root")
        await client.user_add("root", "pw")
        await client.user_grant_role("root", "root")
        await client.user_add("u", "pw")
        await client.role_add("r")
        end = prefix_end(b"k/")
        await client.role_grant_permission("r", PermissionType.READWRITE, b"k/", end)
        await client.user_grant_role("u", "r")
        await client.auth_enable()
    await three.kill(["m3"])
    shutil.rmtree(three.state_dir / "data" / "m3" / "store")
    async with client_of(three, "m1", user="u", password="pw") as client:
        await fill(client, b"k/", b"1")
    assert await three.start(["m3"]) == []
    for name in NAMES:
        async with client_of(three, name, user="u", password="pw") as client:
            assert (await client.put(b"k/by", name.encode())).header.revision
            assert (await client.get(b"k/by")).kvs[0].value == name.encode()
            with pytest.raises(ClientError, match="permission denied"):
                await client.put(b"other", b"1")
    async with client_of(three, user="root", password="pw") as root:
        revisions = set()
        found = set()
        revision = (await root.get(b"none")).header.revision
        for url in three.endpoints.values():
            found.add((await root.hash_kv(url, revision=revision)).hash)
        for name in NAMES:
            async with client_of(three, name, user="root", password="pw") as one:
                revisions.add((await one.auth_status()).auth_revision)
        await root.auth_disable()
    assert len(found) == len(revisions) == 1
