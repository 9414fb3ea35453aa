"""Log lines, written and read."""

from pathlib import Path
from typing import Any

from controlplane.kubelet.runtimes.cri_log import CriLogWriter
from controlplane.kubelet.runtimes.interface import LogOptions
from controlplane.kubelet.runtimes.log_reader import read_log
from kvstore.base.clock import ManualClock


async def test_log_lines(tmp_path: Path) -> None:
    clock = ManualClock()
    log = CriLogWriter(tmp_path / "0.log", clock.time)
    log.feed(b"stdout", b"one\ntw")
    await clock.advance(10)
    log.feed(b"stdout", b"o\n" + b"x" * 20_000 + b"\n")
    log.feed(b"stderr", b"rest")
    log.close()

    async def text(**options: Any) -> bytes:
        parts = [part async for part in read_log(tmp_path / "0.log", LogOptions(**options), None)]
        return b"".join(parts)

    # What ends without a line end is told without one, as by the original's runtime.
    assert await text() == b"one\ntwo\n" + b"x" * 20_000 + b"\nrest"
    assert await text(tail_lines=1) == b"rest"
    assert (await text(since=clock.time() - 1)).startswith(b"two\n")
    assert await text(limit_bytes=5) == b"one\nt"
    assert (await text(timestamps=True)).startswith(b"2023-11-14T22:13:20.000000000Z one\n")
