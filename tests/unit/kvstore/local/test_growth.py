"""Who is new among the members that are wanted, by what the folders of the others say."""

import pytest

from kvstore.identity import Identity
from kvstore.local.growth import added
from kvstore.raft.replicator import MemberId

WANTED = {"a": "http://h:1", "b": "http://h:2", "c": "http://h:3"}


def identity(number: int, name: str, *numbers: int) -> Identity:
    urls = {MemberId(one): (f"http://h:{one}",) for one in numbers}
    return Identity(MemberId(number), 7, name, urls)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param([], (), id="first_start"),
        pytest.param([identity(1, "a", 1)], ("b", "c"), id="one_grows"),
        pytest.param([identity(1, "a", 1, 2), identity(2, "b", 1, 2)], ("c",), id="third"),
        pytest.param([identity(1, "a", 1, 2, 3)], (), id="two_lost_their_folders"),
        pytest.param(
            [identity(1, "a", 1, 2, 9), identity(2, "b", 1, 2, 9), identity(9, "c", 1, 2, 9)],
            (),
            id="one_has_another_address_now",
        ),
    ],
)
def test_who_is_added(known: list[Identity], expected: tuple[str, ...]) -> None:
    assert added(WANTED, known) == expected


def test_nobody_is_left_out_who_may_be_a_majority() -> None:
    known = [identity(1, "a", 1, 2, 3, 8, 9)]
    with pytest.raises(ValueError, match=r"5 members, .* leaves out http://h:8, http://h:9"):
        added(WANTED, known)
