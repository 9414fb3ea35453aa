"""A faulty clock: wrong, leaping, drifting, and never back in monotonic time."""

import asyncio

import pytest

from kvstore.base.clock import ManualClock, SystemClock
from kvstore.faults.clock import FaultClock
from kvstore.faults.kinds import ClockFault


async def test_without_a_fault_it_tells_the_same() -> None:
    real = ManualClock()
    clock = FaultClock(real)
    await real.advance(5.0)
    assert clock.monotonic() == real.monotonic()
    assert clock.time() == real.time()


async def test_drift_and_healing_never_step_monotonic_time() -> None:
    real = ManualClock(start=100.0)
    clock = FaultClock(real)
    clock.set(ClockFault(drift=0.5))
    await real.advance(10.0)
    assert clock.monotonic() == pytest.approx(115.0)
    assert clock.time() == pytest.approx(real.time() + 5.0)
    clock.set(ClockFault())
    assert clock.monotonic() == pytest.approx(115.0)
    assert clock.time() == real.time()
    await real.advance(1.0)
    assert clock.monotonic() == pytest.approx(116.0)


async def test_a_leap_moves_both_clocks_forward_and_only_the_wall_clock_back() -> None:
    real = ManualClock(start=100.0)
    clock = FaultClock(real)
    clock.set(ClockFault(jump_seconds=30.0))
    assert clock.monotonic() == pytest.approx(130.0)
    assert clock.time() == pytest.approx(real.time() + 30)
    clock.set(ClockFault(jump_seconds=-20.0))  # 50 back
    assert clock.monotonic() == pytest.approx(130.0)
    assert clock.time() == pytest.approx(real.time() - 20)


async def test_skew_is_of_the_wall_clock_alone() -> None:
    real = ManualClock(start=100.0)
    clock = FaultClock(real)
    clock.set(ClockFault(skew_seconds=-3600.0))
    assert clock.monotonic() == 100.0
    assert clock.time() == pytest.approx(real.time() - 3600)


async def test_a_leap_wakes_sleepers_and_a_slow_clock_lets_them_wait() -> None:
    clock = FaultClock(SystemClock())
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        sleeper = group.create_task(clock.sleep(3600.0))
        await asyncio.sleep(0.01)
        assert not sleeper.done()
        clock.set(ClockFault(jump_seconds=3600.0))
    clock.set(ClockFault(drift=9.0))
    begun = SystemClock().monotonic()
    await clock.sleep(0.2)
    assert SystemClock().monotonic() - begun < 0.15, "ten times as fast"
