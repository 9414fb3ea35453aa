"""Child processes under the supervisor: readiness, kill, pause, restart policy, nothing left behind."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kvstore.base.clock import SystemClock
from kvstore.local.process import ProcessSpec
from kvstore.local.spawn import Child, CommandSpawner
from kvstore.local.supervisor import NotReady, ProcessSupervisor


def spec(tmp_path: Path, code: str, name: str = "m/part", **more: float) -> ProcessSpec:
    flag = tmp_path / f"{name.replace('/', '-')}.ready"

    async def ready() -> bool:
        return flag.exists()

    prelude = (
        f"import pathlib, signal, sys, time\nready = lambda: pathlib.Path({str(flag)!r}).touch()\n"
    )
    return ProcessSpec(
        name=name,
        group=name.split("/")[0],
        kind="part",
        argv=(sys.executable, "-c", prelude + code),
        log_file=tmp_path / "log",
        ready=ready,
        stop_seconds=more.get("stop_seconds", 5.0),
    )


async def until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, "condition not met in time"
        await asyncio.sleep(0.02)


async def start(*specs: ProcessSpec) -> ProcessSupervisor:
    supervisor = ProcessSupervisor([specs], SystemClock())
    await supervisor.start_all(lambda process, seconds: None, 15.0)
    return supervisor


async def test_a_killed_process_stays_down_until_started(tmp_path: Path) -> None:
    supervisor = await start(spec(tmp_path, "ready(); time.sleep(60)"))
    [process] = supervisor.match("m")
    first = process.pid
    await supervisor.kill([process])
    assert (process.state, process.pid) == ("killed", None)
    assert await supervisor.start([process]) == []
    assert process.pid not in (None, first)
    await supervisor.stop_all()
    assert process.state == "stopped"


async def test_a_process_killed_by_somebody_else_stays_down(tmp_path: Path) -> None:
    supervisor = await start(spec(tmp_path, "ready(); time.sleep(60)"))
    [process] = supervisor.match("m/part")
    assert process.pid is not None
    os.kill(process.pid, 9)
    await until(lambda: process.state == "killed")
    assert process.restarts == 0
    await supervisor.stop_all()


async def test_a_process_that_exits_is_started_again(tmp_path: Path) -> None:
    second, go = tmp_path / "second", tmp_path / "go"
    code = (
        f"second, go = pathlib.Path({str(second)!r}), pathlib.Path({str(go)!r})\n"
        "ready()\nif not second.exists():\n    second.touch()\n"
        "    while not go.exists(): time.sleep(0.01)\n    sys.exit(3)\ntime.sleep(60)"
    )
    supervisor = await start(spec(tmp_path, code))
    [process] = supervisor.match("m")
    go.touch()
    await until(lambda: process.restarts == 1 and process.state == "ready")
    await supervisor.stop_all()


async def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(60)"
    supervisor = await start(spec(tmp_path, code, stop_seconds=0.3))
    [process] = supervisor.match("m")
    await supervisor.stop_all()
    assert process.exit_code == -9


async def test_pause_and_resume(tmp_path: Path) -> None:
    supervisor = await start(spec(tmp_path, "ready(); time.sleep(60)"))
    [process] = supervisor.match("m")
    process.pause()
    stat = Path(f"/proc/{process.pid}/stat")
    if stat.exists():
        await until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
    process.resume()
    assert process.state == "ready"
    await supervisor.stop_all()


async def test_a_process_that_fails_names_its_last_words_and_log(tmp_path: Path) -> None:
    supervisor = ProcessSupervisor([[spec(tmp_path, "sys.exit('no such disk')")]], SystemClock())
    with pytest.raises(ExceptionGroup) as caught:
        await supervisor.start_all(lambda process, seconds: None, 15.0)
    [error] = caught.value.exceptions
    assert isinstance(error, NotReady)
    assert "m/part ended with code 1: no such disk; its log:" in str(error)
    await supervisor.stop_all()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import asyncio, sys, pathlib\n"
        "from kvstore.base.clock import SystemClock\n"
        "from kvstore.local.process import Process, ProcessSpec\n"
        "async def ready(): return True\n"
        "async def main():\n"
        "    p = Process(ProcessSpec('a', 'a', 'a', (sys.executable, '-c', 'import time; time.sleep(60)'),"
        f" pathlib.Path({str(tmp_path / 'log')!r}), ready), SystemClock())\n"
        "    await p.start()\n"
        f"    pathlib.Path({str(pid_file)!r}).write_text(str(p.pid))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(lambda: pid_file.exists() and pid_file.read_text() != "")
    child = int(pid_file.read_text())
    parent.kill()
    await parent.wait()

    def gone() -> bool:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        return state == "Z"

    await until(gone)


async def test_two_starts_at_once_leave_one_child(tmp_path: Path) -> None:
    """Found by chaos: a restart after an exit and an operator's start met while a child was being spawned."""
    supervisor = await start(
        spec(tmp_path, "ready(); print(time.time_ns(), flush=True); time.sleep(60)")
    )
    [process] = supervisor.match("m")
    await supervisor.kill([process])
    (tmp_path / "m-part.ready").unlink()
    (tmp_path / "log").write_text("")
    late = await asyncio.gather(*(supervisor.start([process]) for _ in range(4)))
    assert late == [[]] * 4
    await until(lambda: len((tmp_path / "log").read_text().split()) >= 1)
    await supervisor.kill([process])
    assert len((tmp_path / "log").read_text().split()) == 1
    await supervisor.stop_all()


async def test_a_start_while_a_stop_is_under_way_brings_it_up_again(tmp_path: Path) -> None:
    """Found by chaos: a restart whose first half was cut short by the heal left its member down for good."""
    slow_to_end = (
        "import signal, threading\n"
        "end = threading.Event()\n"
        "signal.signal(signal.SIGTERM, lambda *_: end.set())\n"
        "ready()\n"
        "end.wait()\n"
        "time.sleep(0.5)"
    )
    supervisor = await start(spec(tmp_path, slow_to_end))
    [process] = supervisor.match("m")
    first = process.pid
    stopping = asyncio.ensure_future(supervisor.stop([process]))
    await until(lambda: process.state == "stopped")
    stopping.cancel()
    assert process.is_running
    assert await supervisor.start([process]) == []
    assert process.is_running
    assert process.pid != first
    await supervisor.stop_all()


class HeldSpawner(CommandSpawner):
    """Spawns when `go` is set."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str], log_file: Path) -> Child:
        self.asked.set()
        await self.go.wait()
        return await super().spawn(argv, env, log_file)


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_process_that_is_ended_while_it_is_spawned_does_not_come_up(
    tmp_path: Path, how: str
) -> None:
    spawner = HeldSpawner()
    wanted = spec(tmp_path, "ready(); time.sleep(60)")
    supervisor = ProcessSupervisor([[wanted]], SystemClock(), spawner)
    [process] = supervisor.match("m")
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        started = group.create_task(supervisor.start([process], 10.0))
        await spawner.asked.wait()
        ended = group.create_task(getattr(supervisor, how)([process]))
        await asyncio.sleep(0)
        assert not ended.done()
        spawner.go.set()
        await ended
        assert not process.is_running
        assert await started == ["m/part"]
    assert process.state == {"kill": "killed", "stop": "stopped"}[how]
    await supervisor.stop_all()


async def test_what_libraries_do_after_a_fork_does_not_reach_children(tmp_path: Path) -> None:
    """Found by CI: gRPC's hooks start its threads between fork and exec, and these abort the child now and then."""
    program = (
        "import asyncio, os, sys, pathlib\n"
        "from kvstore.base.clock import SystemClock\n"
        "from kvstore.local.process import Process, ProcessSpec\n"
        "os.register_at_fork(after_in_child=lambda: os._exit(77))\n"
        "async def ready(): return True\n"
        "async def main():\n"
        "    p = Process(ProcessSpec('a', 'a', 'a', (sys.executable, '-c', 'import sys; sys.exit(5)'),"
        f" pathlib.Path({str(tmp_path / 'log')!r}), ready), SystemClock())\n"
        "    await p.start()\n"
        "    print(await p.wait_ended())\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert out == b"5\n"


async def test_a_command_that_is_not_there_is_refused_where_it_is_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        await CommandSpawner().spawn(("no-such-program",), {"PATH": "/bin"}, tmp_path / "log")
