"""The cluster that tests get to break: every verb, in this process and with real processes."""

import time

import pytest
from msgspec.structs import replace

from kvstore.client.errors import ClientError
from kvstore.local.faults import FaultError
from kvstore.testing.harness.cluster import Cluster, ClusterBroken
from kvstore.testing.history.history import FaultRecord, StartRecord, WatchResponse

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=["inprocess", "process"])
def cluster(request, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp(request.param), mode=request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def _empty(cluster):
    cluster.reset()


def insist(do, deadline_seconds=30.0):
    """`do` until it succeeds: the cluster may be electing."""
    deadline = time.perf_counter() + deadline_seconds
    while True:
        try:
            return do()
        except ClientError:
            assert time.perf_counter() < deadline
            time.sleep(0.05)


def test_survives_the_loss_of_its_leader_and_takes_it_back(cluster):
    client = cluster.client()
    client.put("a", "1")
    first = cluster.leader
    cluster.kill("leader")
    insist(lambda: client.put("a", "2"))
    assert cluster.leader != first
    cluster.restart(first)
    assert insist(lambda: cluster.client(first).get("a").kvs[0].value) == b"2"
    cluster.assert_sound()
    kinds = [
        (one.kind, one.targets) for one in cluster.history.nodes if isinstance(one, FaultRecord)
    ]
    assert kinds[:2] == [("kill", (first,)), ("kill", (first,))]


def test_an_isolated_leader_serves_nobody_until_it_is_healed(cluster):
    old = cluster.leader
    alone = cluster.client(old, timeout_seconds=1.5)
    cluster.isolate("leader")
    with pytest.raises(ClientError):
        alone.put("a", "lost?")
    others = cluster.client(*[name for name in cluster.members if name != old])
    insist(lambda: others.put("a", "kept"))
    cluster.heal()
    insist(lambda: alone.get("a"))
    cluster.assert_linearizable()
    cluster.assert_sound()


def test_a_frozen_member_goes_on_and_a_partition_has_two_sides(cluster):
    one, other = cluster.followers
    cluster.pause(one)
    client = cluster.client(cluster.leader)
    insist(lambda: client.put("a", "1"))
    cluster.resume(one)
    assert insist(lambda: cluster.client(one).get("a").count) == 1
    cluster.partition([one], [other])
    insist(lambda: client.put("a", "2"))
    cluster.partition(one, cluster.leader, one_way=True)
    cluster.heal()
    cluster.assert_sound()
    with pytest.raises(FaultError, match="no member"):
        cluster.kill("m9")
    with pytest.raises(ValueError, match="at least one"):
        cluster.kill()


def test_disks_clocks_and_links_can_be_bad_and_leadership_can_be_moved(cluster):
    follower = cluster.followers[0]
    cluster.disk(follower, slow_fsync_seconds=0.01)
    cluster.network(follower, delay_seconds=0.005)
    cluster.skew_clock(follower, 3600.0)
    client = cluster.client()
    insist(lambda: client.put("a", "1"))
    cluster.heal()
    cluster.move_leader(follower)
    assert cluster.leader == follower
    cluster.stop(follower)
    insist(lambda: client.put("a", "2"))
    cluster.restart(follower)
    cluster.assert_sound()


def test_a_reset_leaves_nothing_and_is_quick(cluster):
    client = cluster.client()
    for number in range(50):
        client.put(f"k{number}", "v", lease=client.lease_grant(60).id if number < 5 else 0)
    begun = time.perf_counter()
    cluster.reset()
    # 50 ms on a quiet machine; the bound is for a busy one.
    assert time.perf_counter() - begun < 5
    assert isinstance(cluster.history.records[0], StartRecord)
    client = cluster.client()
    assert client.get(b"\0", range_end=b"\0").count == 0
    assert client.lease_list().ids == ()
    client.put("a", "1")
    cluster.assert_linearizable()


def test_a_moved_clock_cannot_be_reset(tmp_path):
    with Cluster(tmp_path, members=1) as made:
        made.skew_clock("m1", drift=0.1)
        with pytest.raises(ClusterBroken, match="cannot be undone"):
            made.reset()


@pytest.mark.parametrize("mode", ["inprocess", "process"])
def test_tls_on_every_port(tmp_path, mode):
    with Cluster(tmp_path, members=1, mode=mode, tls=True) as made:
        assert made.endpoints[0].startswith("https://")
        made.client().put("a", "1")
        made.assert_sound()


async def test_an_asyncio_client_records_as_well(cluster):
    async with cluster.async_client(name="async") as client:
        await client.put("a", "1")
        assert (await client.get("a")).count == 1
    assert [one.client for one in cluster.history.operations] == ["async", "async"]
    cluster.assert_linearizable()


def test_watches_are_recorded_and_checked(cluster):
    client = cluster.client(name="watched")
    with client.watch("a", range_end="b", prev_kv=True) as watcher:
        client.put("a", "1")
        client.put("a", "2")
        client.delete("a")
        told = []
        while len(told) < 3:
            told += next(watcher).events
    (session,) = cluster.history.watches
    assert [one.kind for one in session.events] == ["PUT", "PUT", "DELETE"]
    cluster.assert_sound()
    lost = cluster.history.records
    cluster.history.clear()
    for one in lost:
        is_second = isinstance(one, WatchResponse) and any(e.kv.version == 2 for e in one.events)
        if is_second:
            kept = tuple(e for e in one.events if e.kv.version != 2)
            one = replace(one, events=kept)
        cluster.history.append(one)
    with pytest.raises(AssertionError, match="not reliable"):
        cluster.assert_sound()
