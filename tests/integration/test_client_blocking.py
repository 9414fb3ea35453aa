"""The blocking face of the client: threads, iterators, context managers, a clean end, and a clear word after a fork."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bench_cluster import OURS, StoreCluster
from kvstore.base.clock import SystemClock
from kvstore.client import errors
from kvstore.client.blocking import SyncClient
from kvstore.client.txn import get, put, version


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreCluster]:
    cluster = StoreCluster(OURS, tmp_path_factory.mktemp("server"), size=1)
    try:
        cluster.start(cluster.members[0])
        with SyncClient(cluster.endpoints, timeout_seconds=60.0) as client:
            client.get("ready")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def client(server: StoreCluster) -> Iterator[SyncClient]:
    with SyncClient(server.endpoints, timeout_seconds=10.0) as opened:
        yield opened


def loop_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "kvstore-client"]


def test_keys_and_transactions(client: SyncClient) -> None:
    first = client.put("a", "1")
    assert client.get("a").kvs[0].mod_revision == first.revision
    done = client.txn().when(version("a") == 1).then(put("a", "2"), get("a")).commit()
    assert done.succeeded
    assert done.range(1).kvs[0].value == b"2"
    assert client.txn([], [put("b", "1")]).succeeded
    assert client.delete("a", prev_kv=True).prev_kvs[0].value == b"2"


def test_errors_are_the_same(client: SyncClient) -> None:
    with pytest.raises(errors.EmptyKey):
        client.put("", "")
    with pytest.raises(errors.FutureRevision):
        client.get("a", revision=10**9)
    with pytest.raises(ValueError, match="invalid endpoint"):
        SyncClient(["nonsense"])


def test_a_watch_is_an_iterator(client: SyncClient) -> None:
    with client.watch("w") as watch:
        assert watch.next(timeout_seconds=0.05) is None
        client.put("w", "1")
        batch = next(watch)
        assert batch.events[0].kv.value == b"1"
        assert watch.next_revision == batch.revision + 1
    assert list(watch) == []


def test_closing_from_another_thread_ends_a_reader(client: SyncClient) -> None:
    watch = client.watch("never")
    watch.start()
    timer = threading.Timer(0.2, watch.close)
    timer.start()
    assert list(watch) == []
    timer.join()


def test_many_watches_on_one_stream(client: SyncClient) -> None:
    with client.watch_stream() as stream:
        watches = [stream.watch(f"m/{index}") for index in range(3)]
        for watch in watches:
            watch.start()
        for index in range(3):
            client.put(f"m/{index}", "x")
        assert [next(watch).events[0].kv.key for watch in watches] == [b"m/0", b"m/1", b"m/2"]


def test_threads_share_a_client(client: SyncClient) -> None:
    def work(number: int) -> None:
        for index in range(20):
            client.put(f"threads/{number}/{index}", "x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("threads/", range_end="threads0", count_only=True).count == 80
    assert len(loop_threads()) == 1


def test_locks_leases_and_elections(client: SyncClient) -> None:
    with client.lock("l", ttl_seconds=20) as lock:
        assert lock.is_held
        assert not client.lock("l").try_acquire()
        assert client.txn().when(lock.is_mine()).then(put("by-holder", "")).commit().succeeded
    assert not lock.is_held
    election = client.election("e", ttl_seconds=20)
    election.campaign("me")
    observed = election.observe()
    assert next(observed).value == b"me"
    election.proclaim("still me")
    assert next(observed).value == b"still me"
    observed.close()  # type: ignore[attr-defined]
    leader = election.leader()
    assert leader is not None
    assert leader.value == b"still me"
    election.resign()
    with client.lease(5) as lease:
        client.put("leased", "", lease=lease.id)
        client.lease_revoke(lease.id)
        assert lease.wait_lost(timeout_seconds=20)
        assert not lease.is_valid


def test_snapshots_are_iterated(client: SyncClient) -> None:
    assert len(b"".join(client.snapshot())) > 32


def test_a_closed_client_says_so(server: StoreCluster) -> None:
    client = SyncClient(server.endpoints)
    client.get("a")
    client.close()
    client.close()
    with pytest.raises(errors.ClientClosed):
        client.get("a")
    assert not loop_threads()


def test_a_forgotten_client_leaves_no_thread(server: StoreCluster) -> None:
    client = SyncClient(server.endpoints)
    client.get("a")
    del client
    clock = SystemClock()
    deadline = clock.monotonic() + 10
    while loop_threads() and clock.monotonic() < deadline:
        time.sleep(0.01)
    assert not loop_threads()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_told(client: SyncClient, tmp_path: Path) -> None:
    client.get("a")
    said = tmp_path / "said"
    child = os.fork()
    if child == 0:
        try:
            client.get("a")
        except errors.ClientClosed as error:
            said.write_text(str(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "before a fork" in said.read_text()
    assert client.get("a").count == 0, "the parent's client goes on"


_IN_A_CHILD = """
import os, signal, sys
from kvstore.client.blocking import SyncClient
from kvstore.client.errors import ClientClosed
endpoint, is_closed = sys.argv[1], sys.argv[2] == "closed"
client = SyncClient([endpoint])
client.put("a", "1")
if is_closed:
    client.close()
child = os.fork()
if child == 0:
    signal.alarm(20)
    try:
        with SyncClient([endpoint], timeout_seconds=5.0) as other:
            print("put", other.put("b", "2").revision > 0, flush=True)
    except ClientClosed as error:
        print("refused:", error, flush=True)
    os._exit(0)
print("child ended with", os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.parametrize("parents", ["open", "closed"])
def test_a_new_client_in_a_forked_child_works_or_says_why_not(
    parents: str, server: StoreCluster
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_CHILD, server.endpoints[0], parents],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    word, ended = done.stdout.splitlines()
    assert ended == "child ended with 0"
    if parents == "closed":
        assert word == "put True"
    else:
        assert "forked while a client was open in its parent" in word
