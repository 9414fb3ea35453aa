"""Shuffle sharding: which of a level's queues a flow may use.

A flow gets a hand of queues out of the deck. Two flows share a queue now and then, but hardly ever all of them, so a
flow that fills its queues leaves every other one a way.

Source: apiserver/pkg/util/shufflesharding, apf_controller.go (hashFlowID).
"""

import hashlib


def flow_hash(schema: str, distinguisher: str) -> int:
    """64 bits that tell a flow: its FlowSchema's name, and what tells flows of that schema apart."""
    digest = hashlib.sha256(schema.encode() + b"\0" + distinguisher.encode()).digest()
    return int.from_bytes(digest[:8], "little")


def deal(hash_value: int, deck_size: int, hand_size: int) -> tuple[int, ...]:
    """`hand_size` different numbers below `deck_size`, all orders equally likely over hash values."""
    hand: list[int] = []
    remainders: list[int] = []
    for dealt in range(hand_size):
        hash_value, remainder = divmod(hash_value, deck_size - dealt)
        remainders.append(remainder)
    for position, card in enumerate(remainders):
        # The remainder counts among the cards that are left: each card dealt before it and not above it moves it up.
        for earlier in reversed(remainders[:position]):
            if card >= earlier:
                card += 1
        hand.append(card)
    return tuple(hand)
