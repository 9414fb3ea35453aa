"""Containers as real processes: signals, groups, logs, and what happens when the agent dies."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    LogOptions,
    Mount,
    SandboxConfig,
)
from controlplane.kubelet.runtimes.process.runtime import ProcessRuntime
from kvstore.base.clock import SystemClock

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    made = ProcessRuntime(tmp_path, SystemClock(), ENV)
    await made.start()
    yield made
    await made.close()


async def until(probe: Callable[[], Any], seconds: float = 60.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (value := probe()):
            await asyncio.sleep(0.02)
    return value


async def start(runtime: ProcessRuntime, *argv: str, **rest: Any) -> str:
    sandbox = await runtime.run_sandbox(SandboxConfig("u1", "p", "default", "127.9.9.9"))
    config = ContainerConfig("c", 0, "busybox", "id", argv, **rest)
    container_id = await runtime.create_container(sandbox.id, config)
    await runtime.start_container(container_id)
    return container_id


def status(runtime: ProcessRuntime) -> ContainerStatus:
    return runtime.list_containers("u1")[-1]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_exit_code_and_output(runtime: ProcessRuntime) -> None:
    made = await start(runtime, "sh", "-c", "echo out; echo err >&2; exit 7")
    await until(lambda: status(runtime).state is ContainerState.EXITED)
    assert (status(runtime).exit_code, status(runtime).reason) == (7, "Error")
    text = b"".join([part async for part in runtime.logs(made, LogOptions(follow=True))])
    assert sorted(text.split()) == [b"err", b"out"]


async def test_term_then_kill(runtime: ProcessRuntime) -> None:
    made = await start(runtime, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    follow = runtime.logs(made, LogOptions(follow=True))
    assert await anext(follow) == b"up\n"
    await runtime.stop_container(made, 0.3)
    assert status(runtime).exit_code == 137
    assert [part async for part in follow] == []


async def test_the_whole_group_ends_with_its_first_process(runtime: ProcessRuntime) -> None:
    made = await start(runtime, "sh", "-c", "sleep 1000 & echo $!; exit 0")
    await until(lambda: status(runtime).state is ContainerState.EXITED)
    child = int(await anext(runtime.logs(made, LogOptions(follow=True))))
    await until(lambda: not alive(child))


async def test_missing_program(runtime: ProcessRuntime) -> None:
    await start(runtime, "/no/such/program")
    assert (status(runtime).exit_code, status(runtime).reason) == (128, "StartError")
    assert "No such file" in status(runtime).message


async def test_mounts_environment_and_exec(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "f").write_text("content")
    made = await start(
        runtime, "sleep", "1000",
        mounts=[Mount("my-data", str(tmp_path / "v"), "/data")], env={"A": "1"},
    )  # fmt: skip
    script = "cat ./data/f; echo $QUORATE_VOLUME_MY_DATA $A; exit 3"
    result = await runtime.exec_sync(made, ["sh", "-c", script], 5)
    assert result.exit_code == 3
    assert result.output.decode() == f"content{tmp_path}/v 1\n"
    with pytest.raises(TimeoutError):
        await runtime.exec_sync(made, ["sleep", "1000"], 0.1)


async def test_mount_path_cannot_leave_the_container(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    from controlplane.kubelet.runtimes.interface import ContainerRuntimeError

    with pytest.raises(ContainerRuntimeError, match="leads out"):
        await start(runtime, "true", mounts=[Mount("v", str(tmp_path), "/../../../../x")])


AGENT = """
import sys, asyncio
from pathlib import Path
from controlplane.kubelet.runtimes.interface import ContainerConfig, SandboxConfig
from controlplane.kubelet.runtimes.process.runtime import ProcessRuntime
from kvstore.base.clock import SystemClock

async def main():
    import os
    runtime = ProcessRuntime(Path(sys.argv[1]), SystemClock(), {"PATH": os.environ["PATH"]})
    print("killed", await runtime.start(), flush=True)
    box = await runtime.run_sandbox(SandboxConfig("u1", "p", "default", "127.9.9.9"))
    script = "sleep 1000 & echo $! > pids; setsid sleep 1000 & echo $! >> pids; echo $$ >> pids; wait"
    config = ContainerConfig("c", 0, "busybox", "id", ("sh", "-c", script))
    made = await runtime.create_container(box.id, config)
    await runtime.start_container(made)
    await asyncio.sleep(1000)

import uvloop
uvloop.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the nets for killed agents differ elsewhere")
async def test_a_killed_agent_takes_its_containers_along(tmp_path: Path) -> None:
    def agent() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", AGENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )

    pids_file = tmp_path / "pods/u1/containers/c/rootfs/pids"

    def pids() -> list[int]:
        found = pids_file.read_text().split() if pids_file.exists() else []
        return [int(pid) for pid in found] if len(found) == 3 else []

    first = agent()
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "killed 0\n"
        grouped, escaped, leader = await until(pids)
        # Its number is written when it is forked: it has left the group only once it leads a session.
        await until(lambda: os.getsid(escaped) == escaped)
        first.kill()
        first.wait()
        # The kernel kills the first process, the watchdog the group; what left the group stays …
        await until(lambda: not alive(leader) and not alive(grouped))
    finally:
        first.kill()
        first.communicate()
    second = agent()
    try:
        # … until the next start, which knows it by its mark.
        assert second.stdout is not None
        assert second.stdout.readline() == "killed 1\n"
        # A signal is sent there and then, and the process ends when it is next on a processor.
        await until(lambda: not alive(escaped))
    finally:
        last = await until(pids)
        second.kill()
        second.communicate()
        for pid in last:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
