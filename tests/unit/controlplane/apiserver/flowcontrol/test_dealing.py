"""Hands of queues: different cards of the deck, and all of them as likely as any other."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controlplane.apiserver.flowcontrol.dealing import deal, flow_hash


@given(
    st.integers(0, 2**64 - 1),
    st.integers(1, 512).flatmap(
        lambda deck: st.tuples(st.just(deck), st.integers(1, min(deck, 8)))
    ),
)
def test_a_hand_is_of_different_cards_of_the_deck(hash_value: int, sizes: tuple[int, int]) -> None:
    deck, size = sizes
    hand = deal(hash_value, deck, size)
    assert len(set(hand)) == size
    assert all(0 <= card < deck for card in hand)


def test_every_order_comes_once_in_as_many_hashes_as_there_are_orders() -> None:
    orders = Counter(deal(value, 6, 3) for value in range(6 * 5 * 4))
    assert len(orders) == 120
    assert set(orders.values()) == {1}


def test_a_flow_is_told_by_schema_and_distinguisher() -> None:
    assert flow_hash("ab", "c") != flow_hash("a", "bc")
    # The first eight bytes of `printf 'global-default\0alice' | sha256sum`, the last of them first.
    assert flow_hash("global-default", "alice") == 0xF4DE3BD42CCDF6B7
