"""What the client promises, against our store and against etcd 3.4 and 3.5: one suite, three servers (row 3)."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.bench_cluster import OURS, StoreCluster, etcd_program
from kvstore.client import errors
from kvstore.client.client import Client
from kvstore.client.ops import prefix_end
from kvstore.client.txn import (
    create_revision,
    delete,
    get,
    lease,
    mod_revision,
    put,
    txn,
    value,
    version,
)
from kvstore.client.types import PermissionType


def etcd_35() -> tuple[str, ...] | None:
    named = os.environ.get("ETCD35")
    return (str(Path(named) / "etcd"),) if named else None


@pytest.fixture(scope="module", params=["ours", "etcd 3.4", "etcd 3.5"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreCluster]:
    program = {"ours": OURS, "etcd 3.4": etcd_program(), "etcd 3.5": etcd_35()}[request.param]
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    cluster = StoreCluster(program, tmp_path_factory.mktemp("server"), size=1)
    try:
        cluster.start(cluster.members[0])
        asyncio.run(cluster.wait_ready())
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
async def client(server: StoreCluster) -> AsyncIterator[Client]:
    async with server.client(timeout_seconds=10.0) as opened:
        yield opened


def etcdctl(server: StoreCluster, *words: str) -> "subprocess.Popen[bytes]":
    found = shutil.which("etcdctl")
    if found is None:
        pytest.skip("etcdctl is not installed")
    environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": server.endpoints[0]}
    return subprocess.Popen(
        [found, *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment
    )


async def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        await asyncio.to_thread(process.communicate, timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.communicate)


# -- transactions


async def test_a_transaction_reads_like_a_sentence(client: Client) -> None:
    await client.put("t/b", "y")
    sentence = (
        client.txn()
        .when(version("t/a") == 0, value("t/b") != b"x")
        .then(put("t/a", "1"), get("t/b"))
        .otherwise(get("t/a"))
    )
    first = await sentence.commit()
    assert first.succeeded
    assert first.range(1).kvs[0].value == b"y"
    again = await sentence.commit()
    assert not again.succeeded
    assert again.range(0).kvs[0].value == b"1"


async def test_all_targets_and_ranges_are_compared(client: Client) -> None:
    made = await client.put("c/1", "v")
    await client.put("c/2", "w")
    granted = await client.lease_grant(60)
    await client.put("c/3", "w", lease=granted.id)
    for condition, holds in (
        (create_revision("c/1") == made.revision, True),
        (mod_revision("c/1") < made.revision, False),
        (version("c/1") > 1, False),
        (lease("c/3") == granted.id, True),
        (lease("c/1") == 0, True),
        (value("c/1") > "u", True),
        (value("c/", prefix=True) > "u", True),
        (value("c/1", range_end="c/4") == "w", False),
        (version("nothing/", prefix=True) == 0, True),
    ):
        assert (await client.txn().when(condition).commit()).succeeded is holds, condition


async def test_transactions_nest(client: Client) -> None:
    inner = txn().when(version("n/none") == 0).then(put("n/deep", "1")).otherwise(delete("n/x"))
    result = await client.txn().then(put("n/top", "1"), inner).commit()
    assert [kv.key for kv in (await client.get("n/", range_end="n0")).kvs] == [b"n/deep", b"n/top"]
    assert result.responses[1].succeeded  # type: ignore[union-attr]


# -- watches


async def test_many_watches_share_a_stream(client: Client) -> None:
    async with asyncio.timeout(30), client.watch_stream() as stream:
        watches = [stream.watch(f"s/{index}") for index in range(20)]
        for watch in watches:
            await watch.start()
        for index in range(20):
            await client.put(f"s/{index}", str(index))
        for index, watch in enumerate(watches):
            batch = await anext(watch)
            assert [event.kv.value for event in batch.events] == [str(index).encode()]
        await watches[0].aclose()
        assert [batch async for batch in watches[0]] == []
        await client.put("s/1", "again")
        assert (await anext(watches[1])).events[0].kv.value == b"again"


async def test_a_slow_reader_of_a_stream_loses_nothing(client: Client) -> None:
    async with asyncio.timeout(60), client.watch_stream(buffer_batches=3) as stream:
        slow, quick = stream.watch("slow"), stream.watch("quick")
        await slow.start()
        await quick.start()
        for number in range(30):
            await client.put("slow", str(number))
        await client.put("quick", "x")
        assert (await anext(quick)).events[0].kv.value == b"x", "one full buffer stops no other"
        assert len(slow.batches) <= 3
        seen: list[bytes] = []
        async for batch in slow:
            seen += [event.kv.value for event in batch.events]
            if len(seen) >= 30:
                break
        assert seen == [str(number).encode() for number in range(30)]


async def test_one_watch_of_a_stream_fails_alone(client: Client) -> None:
    for number in range(3):
        revision = (await client.put("old", str(number))).revision
    await client.compact(revision)
    async with asyncio.timeout(30), client.watch_stream() as stream:
        old, new = stream.watch("old", start_revision=1), stream.watch("new")
        with pytest.raises(errors.Compacted) as caught:
            await anext(old)
        assert caught.value.compact_revision == revision
        await new.start()
        await client.put("new", "1")
        assert (await anext(new)).events[0].kv.value == b"1"


async def test_fragments_come_together(client: Client) -> None:
    start = (await client.put("f", "")).revision + 1
    # One revision of 4 MB is more than a member puts into one message.
    await client.txn([], [put(f"f/{number}", b"x" * 250_000) for number in range(4)])
    for number in range(4, 16, 4):
        await client.txn([], [put(f"f/{n}", b"x" * 250_000) for n in range(number, number + 4)])
    seen: list[bytes] = []
    async with asyncio.timeout(30):
        async for batch in client.watch("f/", range_end="f0", start_revision=start, fragment=True):
            seen += [event.kv.key for event in batch.events]
            if len(seen) == 16:
                break
    assert seen == [f"f/{number}".encode() for number in range(16)]


async def test_filters(client: Client) -> None:
    start = (await client.put("filter", "1")).revision
    await client.delete("filter")
    async with asyncio.timeout(30):
        deletes = client.watch("filter", start_revision=start, without_puts=True)
        assert [e.type for e in (await anext(deletes)).events] == ["DELETE"]
        puts = client.watch("filter", start_revision=start, without_deletes=True)
        assert [e.type for e in (await anext(puts)).events] == ["PUT"]


# -- locks and elections


async def test_a_lock_is_held_by_one(client: Client) -> None:
    inside, most, tokens = 0, 0, []

    async def worker() -> None:
        nonlocal inside, most
        async with client.lock("contended", ttl_seconds=20) as lock:
            inside += 1
            most = max(most, inside)
            tokens.append(lock.revision)
            guarded = await client.txn().when(lock.is_mine()).then(put("guarded", "x")).commit()
            assert guarded.succeeded
            inside -= 1

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(worker())
    assert most == 1
    assert tokens == sorted(set(tokens)), "the fencing token grows from holder to holder"


async def test_a_lock_that_is_not_free(client: Client) -> None:
    async with client.lock("busy", ttl_seconds=20) as held:
        other = client.lock("busy", ttl_seconds=20)
        assert not await other.try_acquire()
        with pytest.raises(errors.DeadlineExceeded):
            await other.acquire(timeout_seconds=0.5)
        left = (await client.get("busy/", range_end=prefix_end(b"busy/"))).kvs
        assert [kv.key for kv in left] == [held.key], "who gave up has left the line"
    assert await other.try_acquire()
    await other.release()


async def test_a_lost_lock_is_noticed(client: Client) -> None:
    async with asyncio.timeout(30):
        lock = client.lock("fragile", ttl_seconds=3)
        await lock.acquire()
        lease_id = int(lock.key.rpartition(b"/")[2], 16)
        await client.lease_revoke(lease_id)
        await lock.lost.wait()
        assert not lock.is_held
        refused = await client.txn().when(lock.is_mine()).then(put("guarded", "late")).commit()
        assert not refused.succeeded
        await lock.release()


async def test_etcdctl_stands_in_the_same_line(server: StoreCluster, client: Client) -> None:
    async with asyncio.timeout(40):
        async with client.lock("shared", ttl_seconds=20):
            process = etcdctl(server, "lock", "shared", "echo", "theirs")
            while (await client.get("shared/", range_end="shared0")).count < 2:
                await asyncio.sleep(0.05)
            assert process.poll() is None, "etcdctl waits while we hold it"
        assert await first_line(process) == b"theirs\n"
        await asyncio.to_thread(process.communicate)
        process = etcdctl(server, "lock", "shared")
        try:
            assert (await first_line(process)).startswith(b"shared/")
            assert not await client.lock("shared").try_acquire()
        finally:
            await end(process)
        async with client.lock("shared", ttl_seconds=20) as lock:
            assert lock.is_held


async def test_elections_go_on(client: Client) -> None:
    async with asyncio.timeout(40):
        first, second = client.election("e", ttl_seconds=20), client.election("e", ttl_seconds=20)
        assert await first.leader() is None
        await first.campaign("one")
        seen = first.observe()
        assert (await anext(seen)).value == b"one"
        with pytest.raises(errors.NotTheOwner):
            await second.proclaim("never")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(second.campaign("two"))
            await first.proclaim("uno")
            assert (await anext(seen)).value == b"uno"
            assert not waiting.done()
            await first.resign()
        assert second.is_leader
        assert second.revision > 0
        assert (await anext(seen)).value == b"two"
        await second.resign()


async def test_etcdctl_is_elected_and_observed(server: StoreCluster, client: Client) -> None:
    async with asyncio.timeout(40):
        process = etcdctl(server, "elect", "ee", "theirs")
        try:
            assert (await first_line(process)).startswith(b"ee/")
            leader = await client.election("ee").leader()
            assert leader is not None
            assert leader.value == b"theirs"
        finally:
            await end(process)
        async with client.election("ee", ttl_seconds=20).leading("ours") as election:
            assert election.is_leader


async def test_the_servers_own_locks_and_elections(client: Client) -> None:
    granted = await client.lease_grant(60)
    held = await client.server_lock("sl", granted.id)
    assert not await client.lock("sl").try_acquire(), "both kinds stand in one line"
    await client.server_unlock(held.key)
    won = await client.server_campaign("se", granted.id, "v")
    assert (await client.server_leader("se")).value == b"v"
    await client.server_proclaim(won.leader, "w")
    seen = client.server_observe("se")
    assert (await anext(seen)).value == b"w"
    await seen.aclose()  # type: ignore[attr-defined]
    await client.server_resign(won.leader)
    assert await client.election("se").leader() is None


async def test_a_lease_can_be_held(client: Client) -> None:
    async with client.lease(5) as held:
        assert held.is_valid
        await client.put("held", "", lease=held.id)
    assert (await client.get("held")).count == 0


# -- users


async def test_a_user_keeps_a_good_token(server: StoreCluster, client: Client) -> None:
    await client.user_add("root", "r")
    await client.role_add("root")
    await client.user_grant_role("root", "root")
    await client.role_add("reader")
    await client.role_grant_permission("reader", PermissionType.READ, "open/", "open0")
    await client.user_add("guest", "g")
    await client.user_grant_role("guest", "reader")
    rights = (await client.role_get("reader")).permissions
    assert [(one.type.name, one.key, one.range_end) for one in rights] == [
        ("READ", b"open/", b"open0")
    ]
    await client.auth_enable()
    url = server.endpoints
    try:
        async with (
            Client(url, user="root", password="r", timeout_seconds=10.0) as root,
            Client(url, user="guest", password="g", timeout_seconds=10.0) as guest,
        ):
            assert (await guest.get("open/1")).kvs == ()
            with pytest.raises(errors.PermissionDenied):
                await guest.put("open/1", "")
            with pytest.raises(errors.ClientError):
                await client.get("open/1")
            # A change of users makes older tokens worthless; the clients get new ones by themselves.
            await root.user_add("another", "a")
            await root.put("open/1", "1")
            assert (await guest.get("open/1")).kvs[0].value == b"1"
            guest._tokens._token = "forged"
            async with asyncio.timeout(20):
                watch = guest.watch("open/", range_end="open0")
                await watch.start()
                await root.put("open/2", "2")
                assert (await anext(watch)).events[0].kv.value == b"2"
                assert (await guest.get("open/2")).count == 1
            with pytest.raises(errors.PermissionDenied):
                await anext(guest.watch("closed"))
            # On a shared stream the refusal carries no id of the watch it is about.
            async with asyncio.timeout(20), guest.watch_stream() as stream:
                open_, closed = stream.watch("open/1"), stream.watch("closed")
                with pytest.raises(errors.PermissionDenied):
                    await closed.start()
                await open_.start()
                await root.put("open/1", "3")
                assert (await anext(open_)).events[0].kv.value == b"3"
            async with Client(url, user="root", password="wrong") as wrong:
                with pytest.raises(errors.AuthenticationFailed):
                    await wrong.get("a")
            assert set((await root.user_list()).users) == {"another", "guest", "root"}
    finally:
        async with Client(url, user="root", password="r", timeout_seconds=10.0) as root:
            await root.auth_disable()
            for name in (await root.user_list()).users:
                await root.user_delete(name)
    # Where authentication is off, a client with a user goes without token.
    async with Client(url, user="root", password="r") as root:
        assert (await root.get("open/1")).count == 1
