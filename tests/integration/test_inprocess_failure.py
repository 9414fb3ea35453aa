"""A member in the test's own process ends when a part of it fails, as its process would."""

import asyncio

import pytest

from kvstore.base.clock import SystemClock
from kvstore.testing.harness.inprocess import InProcessCluster

pytestmark = pytest.mark.timeout(120)


async def test_a_member_whose_part_failed_ends_and_can_be_started_again(tmp_path):
    cluster = InProcessCluster(tmp_path, ["a"], SystemClock())
    try:
        await cluster.start_cluster()
        member = cluster.process("a")
        node = member.node

        async def fail():
            async def broken():
                raise ZeroDivisionError("a part is broken")

            node._tasks.start(broken(), "broken")

        member._portal.run(fail)
        async with asyncio.timeout(60):
            while member.state != "exited":
                await asyncio.sleep(0.02)
        assert not member.is_running
        assert str(member.failure) == "a part is broken"
        assert "the member must stop" in member.spec.log_file.read_text()
        assert await cluster.start(["a"], 60) == []
        assert (member.state, member.failure) == ("ready", None)
    finally:
        await cluster.stop_cluster()
