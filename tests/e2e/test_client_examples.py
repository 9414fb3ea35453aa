"""The Python examples of README.md and docs/client.md, run as they are printed, against a member of ours."""

import ast
import asyncio
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.bench_cluster import OURS, StoreCluster

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cluster = StoreCluster(OURS, tmp_path_factory.mktemp("server"), size=1)
    try:
        cluster.start(cluster.members[0])
        asyncio.run(cluster.wait_ready())
        yield cluster.endpoints[0]
    finally:
        cluster.stop()


def blocks(name: str, url: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [found.replace("http://127.0.0.1:2379", url) for found in BLOCK.findall(text)]


async def typed_in(lines: list[str]) -> None:
    """As `python -m asyncio` does it: one namespace, await at the top."""
    names: dict[str, Any] = {"__name__": "example"}
    for number, block in enumerate(lines):
        code = compile(block, f"block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = types.FunctionType(code, names)()
        if inspect.isawaitable(result):
            await result


async def test_the_guide_to_the_client(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks("docs/client.md", url)
    assert len(found) >= 10
    async with asyncio.timeout(60):
        await typed_in(found)
    shown = capsys.readouterr().out
    assert "b'hello'" in shown
    assert "fencing token" in shown
    assert "b'me:9090'" in shown
    assert "b'bye' None" in shown


def test_the_readme(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", url)
    found = [block for block in blocks("README.md", url) if "kvstore.client" in block]
    assert len(found) >= 2
    for number, block in enumerate(found):
        exec(compile(block, f"README block {number}", "exec"), {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert "b'hello'" in shown
