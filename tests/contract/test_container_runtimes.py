"""What every container runtime must do, run over each there is.

`FAKE` has nothing that runs, so a stage tells for each runtime how a container is made to speak, and to end.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerRuntime,
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
    ExecResult,
    Feature,
    LogOptions,
    Mount,
    SandboxConfig,
    Session,
    Stream,
)
from controlplane.kubelet.runtimes.namespaces.runtime import NamespaceRuntime
from controlplane.kubelet.runtimes.registry import OFFERS, RuntimeOptions
from kvstore.base.clock import SystemClock

SPEAKER = (
    "sh",
    "-c",
    "while read line; do case $line in exit*) $line;; *) echo $line;; esac; done",
)
"""Repeats its input, and ends when it is told to."""
SHORT_SECONDS = 30.0


class Stage(Protocol):
    """A runtime, and how its containers are moved."""

    runtime: ContainerRuntime

    async def say(self, container_id: str, line: str) -> None: ...
    async def end(self, container_id: str, code: int) -> None: ...
    def answer(self, result: ExecResult) -> tuple[str, ...]: ...


class FakeStage:
    """Staged by hand."""

    def __init__(self) -> None:
        self.runtime = self._fake = FakeRuntime(SystemClock())

    async def say(self, container_id: str, line: str) -> None:
        self._fake.say(container_id, line.encode() + b"\n")

    async def end(self, container_id: str, code: int) -> None:
        self._fake.exit(container_id, code)

    def answer(self, result: ExecResult) -> tuple[str, ...]:
        self._fake.exec_result = result
        return ("anything",)


class RealStage:
    """Speaks through standard input."""

    def __init__(self, runtime: ContainerRuntime) -> None:
        self.runtime = runtime

    async def say(self, container_id: str, line: str) -> None:
        session = await self.runtime.attach(container_id)
        await session.write(line.encode() + b"\n")
        await session.close()

    async def end(self, container_id: str, code: int) -> None:
        await self.say(container_id, f"exit {code}")

    def answer(self, result: ExecResult) -> tuple[str, ...]:
        return ("sh", "-c", f"printf '{result.output.decode()}'; exit {result.exit_code}")


@pytest.fixture(params=["fake", *(offer.name for offer in OFFERS)])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    made: Stage
    if request.param == "fake":
        made = FakeStage()
    else:
        offer = next(one for one in OFFERS if one.name == request.param)
        options = RuntimeOptions(tmp_path, SystemClock(), {"PATH": os.environ["PATH"]})
        refusal = offer.refusal(options)
        if refusal:
            pytest.skip(f"{offer.name} does not work here: {refusal}")
        made = RealStage(offer.build(options))
    await made.runtime.start()
    try:
        yield made
    finally:
        for box in made.runtime.list_sandboxes():
            await made.runtime.remove_sandbox(box.id)
        if isinstance(made.runtime, NamespaceRuntime):
            await made.runtime.end()
        await made.runtime.close()


async def until(probe: Callable[[], Any]) -> Any:
    async with asyncio.timeout(SHORT_SECONDS):
        while not (value := probe()):
            await asyncio.sleep(0.01)
    return value


async def sandbox(stage: Stage, uid: str = "u1") -> str:
    box = await stage.runtime.run_sandbox(SandboxConfig(uid, "p", "default", "127.9.9.9"))
    return box.id


async def create(stage: Stage, box: str, *argv: str, **rest: Any) -> str:
    rest.setdefault("stdin", True)
    config = ContainerConfig("c", rest.pop("attempt", 0), "busybox", "id", argv, **rest)
    return await stage.runtime.create_container(box, config)


async def running(stage: Stage, box: str, *argv: str, **rest: Any) -> str:
    made = await create(stage, box, *(argv or SPEAKER), **rest)
    await stage.runtime.start_container(made)
    return made


def status(stage: Stage, container_id: str, uid: str = "u1") -> ContainerStatus:
    return next(s for s in stage.runtime.list_containers(uid) if s.id == container_id)


def exited(stage: Stage, container_id: str) -> bool:
    return status(stage, container_id).state is ContainerState.EXITED


async def output(session: Session, enough: bytes = b"") -> bytes:
    """What a session says, to its end or until all of `enough` was seen."""
    got = b""
    async with asyncio.timeout(SHORT_SECONDS):
        while not enough or enough not in got:
            part = await session.read()
            if part is None:
                break
            got += part[1]
    return got


async def test_a_container_goes_down_its_life_once(stage: Stage) -> None:
    told: list[str] = []
    stage.runtime.on_change(told.append)
    box = await sandbox(stage)
    made = await create(stage, box, *SPEAKER)
    seen = status(stage, made)
    assert (seen.state, seen.name, seen.pod_uid) == (ContainerState.CREATED, "c", "u1")
    assert seen.created_at > 0
    await stage.runtime.start_container(made)
    seen = status(stage, made)
    assert seen.state is ContainerState.RUNNING
    assert seen.started_at >= seen.created_at
    await stage.end(made, 3)
    await until(lambda: exited(stage, made))
    seen = status(stage, made)
    assert (seen.exit_code, seen.reason) == (3, "Error")
    assert seen.finished_at >= seen.started_at
    await until(lambda: told)
    assert set(told) == {"u1"}


async def test_ended_well_is_completed(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    await stage.end(made, 0)
    await until(lambda: exited(stage, made))
    assert status(stage, made).reason == "Completed"


async def test_no_command_is_a_start_error(stage: Stage) -> None:
    made = await create(stage, await sandbox(stage))
    await stage.runtime.start_container(made)
    seen = status(stage, made)
    assert (seen.state, seen.reason) == (ContainerState.EXITED, "StartError")
    assert seen.exit_code == 128
    assert "no command" in seen.message


async def test_stop_ends_it_and_may_be_said_twice(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    await stage.runtime.stop_container(made, 0)
    assert status(stage, made).exit_code == 137
    await stage.runtime.stop_container(made, 5)


async def test_runs_are_listed_oldest_first_and_can_be_forgotten(stage: Stage) -> None:
    box = await sandbox(stage)
    runs = [await create(stage, box, *SPEAKER, attempt=number) for number in range(3)]
    assert [s.id for s in stage.runtime.list_containers("u1")] == runs
    await stage.runtime.start_container(runs[0])
    await stage.runtime.stop_container(runs[0], 0)
    await stage.runtime.remove_container(runs[0])
    assert [s.attempt for s in stage.runtime.list_containers("u1")] == [1, 2]


async def test_sandboxes_take_their_containers_along(stage: Stage) -> None:
    one, two = await sandbox(stage), await sandbox(stage, "u2")
    made = await running(stage, one)
    assert [(b.pod_uid, b.ready) for b in stage.runtime.list_sandboxes()] == [
        ("u1", True),
        ("u2", True),
    ]
    await stage.runtime.stop_sandbox(one)
    assert exited(stage, made)
    assert [b.ready for b in stage.runtime.list_sandboxes()] == [False, True]
    await stage.runtime.stop_sandbox(one)
    await stage.runtime.remove_sandbox(one)
    await stage.runtime.remove_sandbox(one)
    assert stage.runtime.list_containers("u1") == []
    assert [b.id for b in stage.runtime.list_sandboxes()] == [two]


async def test_unknown_ids(stage: Stage) -> None:
    with pytest.raises(KeyError):
        await stage.runtime.start_container("none")
    with pytest.raises(KeyError):
        await stage.runtime.create_container("none", ContainerConfig("c", 0, "i", "i", ("sh",)))
    with pytest.raises(KeyError):
        await stage.runtime.exec_sync("none", ("sh",), 1)
    with pytest.raises(KeyError):
        await stage.runtime.attach("none")
    with pytest.raises(KeyError):
        await stage.runtime.open_socket("none")


async def test_commands_beside_it(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    wanted = ExecResult(5, b"hello")
    assert await stage.runtime.exec_sync(made, stage.answer(wanted), SHORT_SECONDS) == wanted
    session = await stage.runtime.exec(made, stage.answer(wanted), stdin=False, tty=False)
    assert await session.read() == (Stream.STDOUT, b"hello")
    assert await session.read() is None
    assert await session.wait() == 5
    await session.close()
    await session.close()


async def test_no_commands_in_what_has_ended(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    await stage.runtime.stop_container(made, 0)
    with pytest.raises(ContainerRuntimeError, match="not running"):
        await stage.runtime.exec(made, ("true",), stdin=False, tty=False)
    with pytest.raises(ContainerRuntimeError, match="not running"):
        await stage.runtime.attach(made)


async def test_attached_sessions_speak_and_leave(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    session = await stage.runtime.attach(made)
    await session.write(b"hello\n")
    assert b"hello" in await output(session, b"hello\n")
    await session.close()
    assert status(stage, made).state is ContainerState.RUNNING
    again = await stage.runtime.attach(made)
    await stage.end(made, 4)
    assert await output(again) == b""
    assert await again.wait() == 4
    await again.close()


async def test_logs_are_followed_to_the_end(stage: Stage) -> None:
    made = await running(stage, await sandbox(stage))
    lines: list[bytes] = []
    async with asyncio.timeout(SHORT_SECONDS):
        follow = stage.runtime.logs(made, LogOptions(follow=True))
        await stage.say(made, "one")
        lines.append(await anext(follow))
        await stage.say(made, "two")
        lines.append(await anext(follow))
        await stage.end(made, 0)
        lines += [part async for part in follow]
    assert b"".join(lines) == b"one\ntwo\n"
    plain = [part async for part in stage.runtime.logs(made, LogOptions())]
    assert b"".join(plain) == b"one\ntwo\n"


# -- with real processes only


@pytest.fixture
def real(stage: Stage) -> Stage:
    if isinstance(stage, FakeStage):
        pytest.skip("nothing runs in the fake")
    return stage


async def test_term_then_kill(real: Stage) -> None:
    made = await running(
        real,
        await sandbox(real),
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done",
    )
    assert await anext(real.runtime.logs(made, LogOptions(follow=True))) == b"up\n"
    await real.runtime.stop_container(made, SHORT_SECONDS)
    assert status(real, made).exit_code == 9


async def test_a_program_there_is_not(real: Stage) -> None:
    box = await sandbox(real)
    made = await create(real, box, "/no/such/program")
    await real.runtime.start_container(made)
    seen = status(real, made)
    assert (seen.exit_code, seen.reason) == (128, "StartError")
    assert "no such file or directory" in seen.message.lower()
    fine = await running(real, box, attempt=1)
    with pytest.raises(ContainerRuntimeError, match="/no/such"):
        await real.runtime.exec(fine, ("/no/such/program",), stdin=False, tty=False)


async def test_commands_that_take_too_long_are_killed(real: Stage) -> None:
    made = await running(real, await sandbox(real))
    with pytest.raises(TimeoutError):
        await real.runtime.exec_sync(made, ("sleep", "1000"), 0.2)


async def test_streams_are_told_apart_and_input_ends(real: Stage) -> None:
    made = await running(real, await sandbox(real))
    script = "cat; echo err >&2; exit 2"
    session = await real.runtime.exec(made, ("sh", "-c", script), stdin=True, tty=False)
    await session.write(b"x" * 200_000)
    session.close_stdin()
    got = {Stream.STDOUT: b"", Stream.STDERR: b""}
    while (part := await session.read()) is not None:
        got[part[0]] += part[1]
    assert got == {Stream.STDOUT: b"x" * 200_000, Stream.STDERR: b"err\n"}
    assert await session.wait() == 2
    await session.close()


async def test_terminals_have_a_size(real: Stage) -> None:
    made = await running(real, await sandbox(real))
    script = "test -t 0 || exit 1; read x; stty size; exit 7"
    session = await real.runtime.exec(made, ("sh", "-c", script), stdin=True, tty=True)
    session.resize(132, 43)
    await session.write(b"go\n")
    assert b"43 132" in await output(session)
    assert await session.wait() == 7
    await session.close()


async def test_environment_working_directory_and_mounts(real: Stage, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("content")
    box = await sandbox(real)
    made = await running(
        real, box, env={"A": "1"}, working_dir="/work",
        mounts=(Mount("v", str(volume), "/work/data"),),
    )  # fmt: skip
    result = await real.runtime.exec_sync(
        made, ("sh", "-c", "cat data/file; echo $A"), SHORT_SECONDS
    )
    assert result == ExecResult(0, b"content1\n")


async def test_everything_ends_with_the_first_process(real: Stage) -> None:
    made = await running(real, await sandbox(real), "sh", "-c", "sleep 1000 & echo up; exec cat")
    follow = real.runtime.logs(made, LogOptions(follow=True))
    assert await anext(follow) == b"up\n"
    await real.runtime.stop_container(made, 0)
    async with asyncio.timeout(SHORT_SECONDS):
        assert [part async for part in follow] == []


async def test_mount_paths_cannot_leave_the_container(real: Stage, tmp_path: Path) -> None:
    box = await sandbox(real)
    mount = Mount("v", str(tmp_path), "/../../../../quorate-test-mount")
    with contextlib.suppress(ContainerRuntimeError):
        await running(real, box, mounts=(mount,))
    assert not os.path.lexists("/quorate-test-mount")


FEATURES = {
    "process": frozenset[Feature](),
    "fake": frozenset(Feature),
    "namespaces": frozenset(Feature),
}


async def test_what_each_lacks_is_known(stage: Stage) -> None:
    # Limits and users are there only where the machine gives them.
    sometimes = {Feature.LIMITS, Feature.USERS} if stage.runtime.name == "namespaces" else set()
    assert stage.runtime.features | sometimes == FEATURES[stage.runtime.name]
