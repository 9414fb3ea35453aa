"""A member whose state went apart is found by itself, and writes stop before anybody relies on it."""

import asyncio
import dataclasses

import pytest

from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import Corrupt
from kvstore.client.types import AlarmKind
from kvstore.testing.harness.inprocess import InProcessCluster

pytestmark = pytest.mark.timeout(120)


async def test_corrupt_is_raised_for_the_member_that_differs(tmp_path):
    cluster = InProcessCluster(tmp_path, ["a", "b", "c"], SystemClock())
    for name in cluster.members:
        process = cluster.process(name)
        argv = (*process.spec.argv, "--experimental-corrupt-check-time=500ms")
        process.spec = dataclasses.replace(process.spec, argv=argv)
    try:
        await cluster.start_cluster()
        async with Client(list(cluster.endpoints.values())) as client:
            for number in range(20):
                await client.put(f"k{number}", "v")
            # Whoever leads: on a busy machine it may be another one by now.
            watches = [cluster.process(one).node._upkeep.corruption for one in cluster.members]
            async with asyncio.timeout(60):
                while not any(len(watch._answers) == 3 for watch in watches):
                    await asyncio.sleep(0.02)
            assert not (await client.alarm_list()).alarms
            leader = await cluster.leader()
            spoilt = next(name for name in cluster.members if name != leader)
            node = cluster.process(spoilt).node

            async def spoil():
                store = node.machine._store
                store.put(b"k3", b"not what was written", 0)
                store.commit()

            cluster.process(spoilt)._portal.run(spoil)
            await client.put("k4", "v")
            async with asyncio.timeout(60):
                while not (found := (await client.alarm_list()).alarms):
                    await asyncio.sleep(0.05)
            assert found == ((node._config.member_id, AlarmKind.CORRUPT),)
        for url in cluster.endpoints.values():
            async with Client([url]) as client:
                with pytest.raises(Corrupt):
                    await client.put("k1", "more")
                assert (await client.get("k1")).kvs[0].value == b"v"
    finally:
        await cluster.stop_cluster()
