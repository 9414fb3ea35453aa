"""A full disk raises the alarm, a stuck leader hands over, and what the member raised itself it takes back."""

from dataclasses import dataclass, field, replace

import pytest

from kvstore.base.clock import ManualClock
from kvstore.machine.commands import Alarm, Downgrade, Put
from kvstore.mvcc.errors import NoSpace
from kvstore.raft.replicator import MemberId, NoLeader, RaftStatus
from kvstore.service.disk import DiskWatch
from kvstore.service.downgrade import DowngradeService
from kvstore.service.errors import (
    DowngradeInProgress,
    InvalidDowngradeTarget,
    NoInflightDowngrade,
    ServiceError,
    UnknownMethod,
    WrongDowngradeVersionFormat,
)
from kvstore.service.kv import Quota

OWN = (1, 1)


@dataclass
class Machine:
    alarms: set[tuple[int, int]] = field(default_factory=set)
    size_bytes: int = 0
    downgrade_version: str = ""


class Member:
    """Replicator and proposer in one."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now = RaftStatus(
            MemberId(1), MemberId(1), 1, 5, 5, 5, match_index={MemberId(2): 4, MemberId(3): 5}
        )
        self.handed_to: list[int] = []
        self.has_quorum = True

    def status(self) -> RaftStatus:
        return self.now

    async def transfer_leadership(self, target: MemberId, _seconds: float) -> None:
        self.handed_to.append(target)

    async def confirm_read(self) -> None:
        pass

    async def submit(self, command: Alarm | Downgrade, _caller: object = None, **_: float) -> None:
        if not self.has_quorum:
            raise NoLeader
        if isinstance(command, Downgrade):
            self.machine.downgrade_version = command.version
        elif command.action == 1:
            self.machine.alarms.add((command.member_id, command.alarm))
        else:
            self.machine.alarms.discard((command.member_id, command.alarm))


def made() -> tuple[Machine, Member, ManualClock, DiskWatch]:
    machine, clock = Machine(), ManualClock()
    member = Member(machine)
    return machine, member, clock, DiskWatch(machine, member, member, clock, 1)  # type: ignore[arg-type]


async def test_the_alarm_is_raised_once_and_taken_back_by_who_raised_it():
    machine, member, _, watch = made()
    await watch.step()
    assert not machine.alarms
    member.now = replace(member.now, is_disk_full=True)
    await watch.step()
    await watch.step()
    assert machine.alarms == {OWN}
    assert member.handed_to == []
    member.now = replace(member.now, is_disk_full=False)
    await watch.step()
    assert machine.alarms == set()


async def test_an_alarm_that_was_there_before_stays():
    machine, member, _, watch = made()
    machine.alarms.add(OWN)
    member.now = replace(member.now, is_disk_full=True)
    await watch.step()
    member.now = replace(member.now, is_disk_full=False)
    await watch.step()
    assert machine.alarms == {OWN}


async def test_it_is_seen_and_heeded_here_even_if_the_log_cannot_take_it():
    machine, member, _, watch = made()
    member.has_quorum = False
    member.now = replace(member.now, is_disk_full=True)
    await watch.step()
    assert (machine.alarms, watch.alarms()) == (set(), {OWN})
    quota = Quota(machine, member, 1, 1 << 30, lambda: watch.is_full)  # type: ignore[arg-type]
    with pytest.raises(NoSpace):
        await quota.check(Put(b"a"))
    member.has_quorum = True
    await watch.step()
    assert machine.alarms == {OWN}


async def test_a_stuck_leader_hands_over_now_and_then():
    _, member, clock, watch = made()
    member.now = replace(member.now, is_disk_full=True, is_disk_stuck=True)
    await watch.step()
    await watch.step()
    assert member.handed_to == [3]
    await clock.advance(6)
    await watch.step()
    assert member.handed_to == [3, 3]
    member.now = replace(member.now, leader_id=MemberId(3))
    await clock.advance(6)
    await watch.step()
    assert member.handed_to == [3, 3]


@pytest.mark.parametrize(
    ("action", "version", "expected"),
    [
        (0, "3.4.0", "3.5.0"),
        (0, "3.4", "3.5.0"),
        (0, "3.4.7-rc.1", "3.5.0"),
        (0, "3.5.0", InvalidDowngradeTarget),
        (0, "3.6.0", InvalidDowngradeTarget),
        (0, "2.0.0", InvalidDowngradeTarget),
        (0, "x", WrongDowngradeVersionFormat),
        (1, "", WrongDowngradeVersionFormat),
        (2, "3.4.0", NoInflightDowngrade),
        (7, "3.4.0", UnknownMethod),
    ],
)
async def test_downgrade_answers_as_etcd(action, version, expected):
    machine, member, _, _ = made()
    service = DowngradeService(machine, member)  # type: ignore[arg-type]
    if isinstance(expected, str):
        assert await service.handle(action, version) == expected
    else:
        assert issubclass(expected, ServiceError)
        with pytest.raises(expected):
            await service.handle(action, version)


async def test_one_downgrade_at_a_time_until_it_is_cancelled():
    machine, member, _, _ = made()
    service = DowngradeService(machine, member)  # type: ignore[arg-type]
    await service.handle(1, "3.4")
    assert machine.downgrade_version == "3.4.0"
    for action in (0, 1):
        with pytest.raises(DowngradeInProgress):
            await service.handle(action, "3.4.0")
    await service.handle(2, "")
    with pytest.raises(NoInflightDowngrade):
        await service.handle(2, "")
