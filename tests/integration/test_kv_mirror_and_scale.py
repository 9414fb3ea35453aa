"""`quorate kv make-mirror` and `check datascale` beside etcdctl's, on one member.

Both mirrors copy the same keys while they change, each under a prefix of its own, and must have written the same.
Both checks write ten thousand keys, say how much memory that took, and leave nothing behind.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bench_cluster import OURS, StoreCluster
from kvstore.client.client import Client
from kvstore.client.ops import op_delete, op_put, op_txn, prefix_end

ETCDCTL = shutil.which("etcdctl")
TOOLS = {"ours": (sys.executable, "-m", "cli.kv"), "etcdctl": (ETCDCTL or "etcdctl",)}

pytestmark = pytest.mark.skipif(ETCDCTL is None, reason="etcdctl is not installed")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The client URL of a fresh member."""
    cluster = StoreCluster(OURS, tmp_path_factory.mktemp("member"), size=1)
    cluster.start(cluster.members[0])
    try:
        asyncio.run(cluster.wait_ready())
        yield cluster.endpoints[0]
    finally:
        cluster.stop()


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": url}


async def copied(client: Client, prefix: bytes) -> dict[bytes, bytes]:
    found = await client.get(prefix, range_end=prefix_end(prefix))
    return {kv.key[len(prefix) :]: kv.value for kv in found.kvs}


async def same_as(client: Client, source: bytes, prefixes: list[bytes]) -> None:
    """Wait until all prefixes hold what `source` holds."""
    seen: dict[bytes, dict[bytes, bytes]] = {}
    for _ in range(200):
        seen = {one: await copied(client, one) for one in [source, *prefixes]}
        if all(seen[one] == seen[source] for one in prefixes):
            return
        await asyncio.sleep(0.05)
    raise AssertionError({one: sorted(keys)[:5] for one, keys in seen.items()})


async def test_mirrors_copy_what_is_there_and_what_changes(url: str, tmp_path: Path) -> None:
    async with Client([url]) as client:
        for number in range(150):
            await client.put(b"from/%03d" % number, b"old %d" % number)
        await client.put(b"fron", b"not below the prefix")
        mirrors = []
        try:
            for name, tool in TOOLS.items():
                with (tmp_path / name).open("wb") as output:
                    mirrors.append(
                        await asyncio.create_subprocess_exec(
                            *(*tool, "make-mirror", "--prefix=from/"),
                            *(f"--dest-prefix={name}/", url),
                            env=environment(url),
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=output,
                        )
                    )
            prefixes = [f"{name}/".encode() for name in TOOLS]
            await same_as(client, b"from/", prefixes)
            await client.put(b"from/001", b"new")
            await client.delete(b"from/002")
            await client.put(b"from/binary\xff\x00", b"\x00\xff\n")
            await client.put(b"from/empty", b"")
            await client.commit(
                op_txn(
                    [],
                    [
                        op_put(b"from/a", b"1"),
                        op_delete(b"from/003"),
                        op_put(b"elsewhere", b"2"),
                        op_put(b"from/b", b"3"),
                    ],
                )
            )
            await client.delete(b"from/1", range_end=b"from/12")
            await same_as(client, b"from/", prefixes)
            there = await copied(client, b"ours/")
            assert (there[b"001"], there[b"a"], there[b"empty"]) == (b"new", b"1", b"")
            assert there[b"binary\xff\x00"] == b"\x00\xff\n"
            assert b"120" in there
            assert not {b"002", b"003", b"110"} & set(there)
            assert all(mirror.returncode is None for mirror in mirrors)
        finally:
            for mirror in mirrors:
                mirror.terminate()
            for mirror in mirrors:
                async with asyncio.timeout(60):
                    await mirror.wait()


@pytest.mark.parametrize(
    "words",
    [
        ["make-mirror", "--dest-prefix=x", "--no-dest-prefix"],
        ["make-mirror", "a", "b"],
    ],
)
def test_mirrors_that_cannot_be_are_refused_alike(url: str, words: list[str]) -> None:
    results = []
    for tool in TOOLS.values():
        wanted = [*words, url] if len(words) > 1 and words[1].startswith("--") else words
        done = subprocess.run(
            [*tool, *wanted], env=environment(url), capture_output=True, timeout=30
        )
        # 3.5 ends one of the sentences with a full stop, 3.4 does not.
        results.append((done.returncode, done.stdout, done.stderr.strip().rstrip(b".")))
    assert results[0] == results[1]
    assert results[0][0] != 0


def test_datascale_says_the_same_of_the_same_store(url: str) -> None:
    said = []
    for tool in TOOLS.values():
        done = subprocess.run(
            [*tool, "check", "datascale", "--load=s"],
            env=environment(url),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        text = done.stdout.decode().replace("\r", "\n")
        lines = re.findall(r"^(Start data scale.*|PASS.*|FAIL.*)$", text, flags=re.MULTILINE)
        said.append([re.sub(r"\d+\.\d+", "N", line) for line in lines])
    assert said[0] == said[1]
    assert said[0][0].startswith("Start data scale check for work load [10000 key-value pairs")
    assert said[0][1].startswith("PASS: Approximate system memory used : N MB")

    async def left() -> int:
        async with Client([url]) as client:
            return (await client.get(b"/etcdctl-check", range_end=b"/etcdctl-checl")).count

    assert asyncio.run(left()) == 0
