"""The control socket of a member: requests, refusals, bounds, and what a restart finds."""

import asyncio
import random
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvstore.base.clock import ManualClock
from kvstore.base.files import Files
from kvstore.faults import control
from kvstore.faults.control import FaultControl, FaultControlError, ask, set_request
from kvstore.faults.kinds import ClockFault, DiskFault, Faults, LinkFault
from kvstore.faults.member import MemberFaults


def make_faults() -> MemberFaults:
    return MemberFaults(
        1, {"a": 1, "b": 2}, ManualClock(), Files(), random.Random(1), lambda seconds: None
    )


@pytest.fixture
def faults() -> MemberFaults:
    return make_faults()


def handle(member: MemberFaults, **request: Any) -> dict[str, Any]:
    return FaultControl(Path("unused"), member).handle(msgspec.json.encode(request))


def test_set_replaces_merge_adds_and_clear_takes_away(faults: MemberFaults) -> None:
    handle(faults, op="set", faults={"disk": {"full": True}, "network": [{"peer": "b", "drop": 1}]})
    assert faults.files.fault.full
    assert not faults.network.allows_message(1, 2, "x")
    handle(faults, op="merge", faults={"clock": {"drift": 0.5}})
    assert faults.current == Faults(
        (LinkFault("b", drop=1.0),), DiskFault(full=True), ClockFault(drift=0.5)
    )
    handle(faults, op="clear", kind="disk")
    assert not faults.files.fault.is_active
    assert faults.clock.fault.drift == 0.5
    answer = handle(faults, op="clear")
    assert answer == {"ok": {"faults": {}, "active": []}}
    assert not faults.current.is_active


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"[]",
        b"{",
        b'{"op": "explode"}',
        b'{"op": "set", "faults": {"disk": {"on_fire": true}}}',
        b'{"op": "set", "faults": {"network": [{"peer": "nobody"}]}}',
        b'{"op": "set", "faults": {"network": [{"drop": 1.5}]}}',
        b'{"op": "set", "faults": {"clock": {"drift": -2}}}',
        b'{"op": "set", "faults": {"disk": {"slow_fsync_seconds": 1e9}}}',
    ],
)
def test_what_is_no_request_is_told_so_and_changes_nothing(
    faults: MemberFaults, request_line: bytes
) -> None:
    faults.apply(Faults(disk=DiskFault(full=True)))
    answer = FaultControl(Path("unused"), faults).handle(request_line)
    assert set(answer) == {"error"}
    assert faults.current == Faults(disk=DiskFault(full=True))


def test_list_names_every_fault_there_is(faults: MemberFaults) -> None:
    kinds = handle(faults, op="list")["ok"]["kinds"]
    assert set(kinds) == {"network", "disk", "clock"}
    assert "torn_on_kill" in kinds["disk"]


async def test_over_a_socket_that_only_the_owner_can_open(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path, faults = folder / "m.faults", make_faults()
    server = FaultControl(path, faults)
    await server.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        wanted = Faults(disk=DiskFault(slow_fsync_seconds=0.5))
        answer = await ask(path, **set_request(wanted))
        assert answer["active"] == ["disk: fsync 500ms slower"]
        assert faults.current == wanted
        with pytest.raises(FaultControlError, match="no peer 'x'"):
            await ask(path, op="merge", faults={"network": [{"peer": "x", "cut": True}]})
        with pytest.raises(FaultControlError, match="longer than"):
            await ask(path, op="get" + "x" * control.MAX_LINE_BYTES)
    finally:
        await server.stop()
    assert not path.exists()
    with pytest.raises(FaultControlError, match="does not answer"):
        await ask(path, op="get")


async def test_connections_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "m.faults"
    server = FaultControl(path, make_faults())
    await server.start()
    held = []
    try:
        for _ in range(control.MAX_CONNECTIONS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b'{"op": "get"}\n')
            await reader.readline()
            held.append(writer)
        with pytest.raises(FaultControlError, match="more than 16 connections"):
            await ask(path, op="get")
    finally:
        for writer in held:
            writer.close()
        await server.stop()


async def test_a_member_starts_with_what_the_file_says(tmp_path: Path) -> None:
    path, faults = tmp_path / "m.faults", make_faults()
    control.initial_file(path).write_bytes(
        msgspec.json.encode(Faults(disk=DiskFault(fail_fsync=True)))
    )
    server = FaultControl(path, faults)
    await server.start()
    await server.stop()
    assert faults.files.fault.fail_fsync
    control.initial_file(path).write_text("nonsense")
    with pytest.raises(FaultControlError, match=r"m\.faults\.json"):
        await FaultControl(path, make_faults()).start()
