"""Shrinking keeps what is needed for a failure and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.testing.sim.shrink import shortest_failing


@given(st.sets(st.integers(0, 30), max_size=4), st.integers(31, 40))
def test_only_what_is_needed_is_left(needed: set[int], length: int) -> None:
    runs: list[list[int]] = []

    def fails(part: list[int]) -> bool:
        runs.append(part)
        return needed <= set(part)

    assert shortest_failing(range(length), fails, most_runs=2000) == sorted(needed)


def test_the_number_of_runs_is_bounded() -> None:
    runs = 0

    def fails(part: list[int]) -> bool:
        nonlocal runs
        runs += 1
        return len(part) > 30

    left = shortest_failing(range(100), fails, most_runs=10)
    assert len(left) > 30
    assert runs <= 10
