"""A member on a broken disk ends with a sentence, and comes back when the disk does."""

from pathlib import Path

import pytest

from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.faults.kinds import DiskFault
from kvstore.local.store import StoreCluster


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(DiskFault(read_only=True), "Read-only file system", id="read-only"),
        pytest.param(DiskFault(fail_fsync=True), "Input/output error", id="failing-fsync"),
    ],
)
async def test_a_member_that_cannot_start_says_why_and_starts_after_heal(
    tmp_path: Path, fault: DiskFault, words: str
) -> None:
    cluster = StoreCluster(tmp_path, ("m1",), SystemClock())
    try:
        await cluster.start_cluster()
        async with Client(list(cluster.endpoints.values())) as client:
            await client.put(b"kept", b"1")
        await cluster.stop(["m1"])
        log = cluster.process("m1").spec.log_file
        log.write_text("")
        await cluster.faults.disk("m1", fault)
        assert await cluster.start(["m1"], 10.0) == ["m1"]
        assert cluster.process("m1").exit_code == 1
        told = log.read_text()
        assert words in told
        assert "Traceback" not in told
        await cluster.heal()
        async with Client(list(cluster.endpoints.values())) as client:
            assert (await client.get(b"kept")).kvs[0].value == b"1"
    finally:
        await cluster.stop_cluster()
