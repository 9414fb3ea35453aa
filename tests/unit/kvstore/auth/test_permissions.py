"""Merged key ranges: etcd's rules by table, then against a naive model that looks at keys one by one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.auth.permissions import Intervals, interval
from kvstore.mvcc.ranges import in_range


def granted(*ranges: tuple[bytes, bytes]) -> Intervals:
    return Intervals(interval(key, end) for key, end in ranges)


ALL = (b"\0", b"\0")


@pytest.mark.parametrize(
    ("grants", "asked", "is_allowed"),
    [
        pytest.param([], (b"a", b""), False, id="nothing_granted"),
        pytest.param([(b"a", b"")], (b"a", b""), True, id="the_key"),
        pytest.param([(b"a", b"")], (b"b", b""), False, id="another_key"),
        pytest.param([(b"a", b"")], (b"a", b"a\0"), True, id="the_key_as_a_range"),
        pytest.param([(b"a", b"")], (b"a", b"a\0\0"), False, id="one_key_too_many"),
        pytest.param([(b"a", b"")], (b"a", b"\0"), False, id="from_the_key_on"),
        pytest.param([(b"a", b"c")], (b"a", b"c"), True, id="the_range"),
        pytest.param([(b"a", b"c")], (b"b", b""), True, id="a_key_inside"),
        pytest.param([(b"a", b"c")], (b"c", b""), False, id="the_end_is_outside"),
        pytest.param([(b"a", b"c")], (b"b", b"d"), False, id="overlaps_the_end"),
        pytest.param([(b"a", b"c")], (b"b", b"\0"), False, id="no_end_asked"),
        pytest.param([(b"a", b"c"), (b"c", b"e")], (b"b", b"d"), True, id="side_by_side"),
        pytest.param([(b"a", b"c"), (b"b", b"e")], (b"a", b"e"), True, id="overlapping"),
        pytest.param([(b"a", b"c"), (b"d", b"e")], (b"b", b"e"), False, id="a_gap"),
        pytest.param([(b"c", b"e"), (b"a", b"c")], (b"a", b"e"), True, id="in_any_order"),
        pytest.param([(b"a", b"z"), (b"b", b"c")], (b"d", b"y"), True, id="inside_the_larger"),
        pytest.param([(b"m", b"\0")], (b"m", b"\0"), True, id="no_end"),
        pytest.param([(b"m", b"\0")], (b"z", b"\0"), True, id="later_without_end"),
        pytest.param([(b"m", b"\0")], (b"a", b"\0"), False, id="earlier_without_end"),
        pytest.param([(b"a", b"m"), (b"m", b"\0")], (b"b", b"\0"), True, id="joined_without_end"),
        pytest.param([ALL], (b"\0", b"\0"), True, id="everything"),
        pytest.param([ALL], (b"\xff\xff", b""), True, id="any_key_of_everything"),
        pytest.param([(b"b", b"a")], (b"b", b""), False, id="a_grant_upside_down_grants_nothing"),
        pytest.param([(b"", b"")], (b"a", b""), False, id="a_grant_of_no_key_grants_nothing"),
        pytest.param([(b"", b"\0")], ALL, True, id="from_no_key_on_is_everything"),
        pytest.param([(b"x", b"z")], (b"y", b"x"), True, id="an_empty_range_that_starts_inside"),
        pytest.param([(b"x", b"z")], (b"z", b"a"), False, id="an_empty_range_that_starts_outside"),
    ],
)
def test_ranges(grants, asked, is_allowed):
    assert granted(*grants).covers(*asked) is is_allowed


SMALL = [
    b"".join(letters)
    for n in (1, 2, 3)
    for letters in itertools.product((b"\0", b"a", b"b"), repeat=n)
]
keys = st.sampled_from([key for key in SMALL if len(key) < 3])
ends = st.one_of(st.just(b""), st.just(b"\0"), keys)
grants = st.lists(st.tuples(keys, ends), max_size=5)


@given(grants, keys, ends)
def test_a_range_is_allowed_if_and_only_if_each_of_its_keys_is(ranges, key, range_end):
    # Keys one letter longer than the bounds show every gap that bounds can make.
    inside = [one for one in SMALL if in_range(one, key, range_end)]
    if not inside:
        return
    allowed = all(any(in_range(one, *grant) for grant in ranges) for one in inside)
    is_endless = range_end == b"\0"
    if is_endless:
        allowed = allowed and any(end == b"\0" for _, end in ranges)
    assert granted(*ranges).covers(key, range_end) is allowed


@given(grants, st.permutations(range(5)))
def test_the_order_of_grants_does_not_matter(ranges, order):
    shuffled = [ranges[position] for position in order if position < len(ranges)]
    first, second = granted(*ranges), granted(*shuffled)
    assert (first._starts, first._ends) == (second._starts, second._ends)
    spans = list(zip(first._starts, first._ends, strict=True))
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end is not None
        assert end < start
