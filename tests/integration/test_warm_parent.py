"""Children forked by the warm parent: they are like commands, and die with it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvstore.base.clock import SystemClock
from kvstore.local.spawn import Child, WarmSpawner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

PROGRAM = """
import os, signal, sys, time
import json.tool
print(__name__, sys.argv[1:], os.environ.get("COLOUR"), os.getsid(0) == os.getpid(), flush=True)
print("imported already" if "preloaded_part" in sys.modules else "not imported", flush=True)
match sys.argv[1]:
    case "exit":
        sys.exit(int(sys.argv[2]))
    case "raise":
        raise ValueError("broken part")
    case "term":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("waiting", flush=True)
        time.sleep(60)
"""


@pytest.fixture
async def spawner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WarmSpawner]:
    (tmp_path / "warm_program.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "preloaded_part.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    spawner = WarmSpawner(["preloaded_part", "no_such_module"])
    await spawner.start()
    yield spawner
    await spawner.close()


async def run(spawner: WarmSpawner, log: Path, *words: str) -> Child:
    argv = (sys.executable, "-m", "warm_program", *words)
    return await spawner.spawn(argv, {**os.environ, "COLOUR": "blue"}, log)


async def until_logged(log: Path, text: str) -> str:
    clock = SystemClock()
    deadline = clock.monotonic() + 20.0
    while text not in (found := log.read_text() if log.exists() else ""):
        assert clock.monotonic() < deadline, f"{text!r} did not appear in {found!r}"
        await asyncio.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pid: int) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 10.0
    while is_alive(pid):
        assert clock.monotonic() < deadline, f"{pid} still runs"
        await asyncio.sleep(0.01)


async def test_a_fork_is_a_program_of_its_own(spawner: WarmSpawner, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = await run(spawner, log, "exit", "3")
    assert await child.wait() == 3
    assert child.returncode == 3
    assert log.read_text().splitlines() == [
        "__main__ ['exit', '3'] blue True",
        "imported already",
    ]
    with pytest.raises(ProcessLookupError):
        child.send_signal(signal.SIGTERM)


async def test_an_exception_is_an_exit_code_and_a_traceback(
    spawner: WarmSpawner, tmp_path: Path
) -> None:
    child = await run(spawner, tmp_path / "log", "raise")
    assert await child.wait() == 1
    assert "ValueError: broken part" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 7), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_signals_reach_it(
    spawner: WarmSpawner, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    child = await run(spawner, tmp_path / "log", "term")
    await until_logged(tmp_path / "log", "waiting")
    child.send_signal(number)
    assert await child.wait() == code


async def test_its_command_line_is_seen_by_operators(spawner: WarmSpawner, tmp_path: Path) -> None:
    child = await run(spawner, tmp_path / "log", "term")
    await until_logged(tmp_path / "log", "waiting")
    assert "-m warm_program term" in Path(f"/proc/{child.pid}/cmdline").read_text()


async def test_other_commands_run_as_commands(spawner: WarmSpawner, tmp_path: Path) -> None:
    child = await spawner.spawn(("/bin/sh", "-c", "echo here; exit 4"), {}, tmp_path / "log")
    assert await child.wait() == 4
    assert (tmp_path / "log").read_text() == "here\n"


async def test_children_end_with_the_warm_parent(spawner: WarmSpawner, tmp_path: Path) -> None:
    child = await run(spawner, tmp_path / "log", "term")
    await until_logged(tmp_path / "log", "waiting")
    parent = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    await until_gone(child.pid)
    again = await run(spawner, tmp_path / "log", "exit", "0")
    assert await again.wait() == 0, "without a warm parent it runs as a command"


async def test_nothing_is_left_after_kill_9_of_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "warm_program.py").write_text(textwrap.dedent(PROGRAM))
    supervisor = f"""
        import asyncio, os, pathlib, sys
        from kvstore.local.spawn import WarmSpawner
        async def main():
            spawner = WarmSpawner([])
            await spawner.start()
            child = await spawner.spawn((sys.executable, "-m", "warm_program", "term"),
                                        dict(os.environ), pathlib.Path({str(tmp_path / "log")!r}))
            print(child.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(supervisor)),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        pid = int(await process.stdout.readline())
        await until_logged(tmp_path / "log", "waiting")
    finally:
        process.kill()
        await process.communicate()
    await until_gone(pid)
