"""Seats divided in proportion, within bounds: the properties that make the division unique."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.apiserver.flowcontrol.allocation import Claim, allocate

claims = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).map(
        lambda t: Claim(float(t[0]), float(t[0] + t[1]), float(t[0] + t[2]))
    ),
    min_size=1,
    max_size=9,
)


@given(claims, st.floats(0, 1))
def test_shares_sum_up_and_only_bounds_keep_them_from_the_fraction(
    wanted: list[Claim], part: float
) -> None:
    lowest, highest = sum(one.lowest for one in wanted), sum(one.highest for one in wanted)
    total = round(lowest + part * (highest - lowest))
    shares, fraction = allocate(total, wanted)
    assert sum(shares) == pytest.approx(total, abs=1e-3)
    for claim, share in zip(wanted, shares, strict=True):
        assert claim.lowest - 1e-6 <= share <= claim.highest + 1e-6
        free = fraction * max(claim.target, 0.001)
        if share < free - 1e-3:
            assert share == pytest.approx(claim.highest, abs=1e-3)
        if share > free + 1e-3 and total:
            assert share == pytest.approx(claim.lowest, abs=1e-3)


@pytest.mark.parametrize(
    ("total", "wanted", "shares"),
    [
        (30, [(0, 100, 10), (0, 100, 20)], [10, 20]),
        (60, [(0, 100, 10), (0, 100, 20)], [20, 40]),
        (60, [(0, 15, 10), (0, 100, 20)], [15, 45]),
        (30, [(15, 100, 15), (0, 100, 45)], [15, 15]),
        (0, [(0, 5, 5)], [0]),
        (7, [(2, 7, 3), (0, 0, 0)], [7, 0]),
    ],
    ids=["as wanted", "more than wanted", "one is full", "one keeps its own", "none", "all full"],
)
def test_divisions(total: int, wanted: list[tuple[int, int, int]], shares: list[int]) -> None:
    made, _ = allocate(total, [Claim(*map(float, one)) for one in wanted])
    assert made == pytest.approx(shares)


@pytest.mark.parametrize(
    ("total", "claim"),
    [
        (1, Claim(2, 5, 3)),
        (6, Claim(2, 5, 3)),
        (3, Claim(4, 5, 3)),
        (3, Claim(3, 2, 3)),
        (-1, Claim(0, 1, 1)),
    ],
    ids=["too few", "too many", "target below", "bounds crossed", "negative"],
)
def test_what_cannot_be_divided(total: int, claim: Claim) -> None:
    with pytest.raises(ValueError):
        allocate(total, [claim])
