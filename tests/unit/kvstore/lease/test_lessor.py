"""Leases and keys."""

import pytest

from kvstore.lease.lessor import Lessor


def test_keys_are_sorted_and_follow_attach_and_detach() -> None:
    lessor = Lessor()
    lease = lessor.grant(7, 10)
    for key in (b"c", b"a", b"b", b"a"):
        lessor.attach(7, key)
    assert lease.keys == (b"a", b"b", b"c")
    lessor.detach(7, b"b")
    lessor.detach(7, b"not there")
    lessor.detach(8, b"a")
    assert lease.keys == (b"a", b"c")
    lessor.check_invariants()


def test_an_id_is_granted_once() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    with pytest.raises(ValueError, match="exists"):
        lessor.grant(7, 10)
    lessor.revoke(7)
    assert 7 not in lessor
    lessor.grant(7, 10)


@pytest.mark.parametrize(("told", "kept"), [(4, 4), (0, 0), (-3, 0), (99, 10)])
def test_checkpoint_keeps_within_the_ttl(told: int, kept: int) -> None:
    lessor = Lessor()
    lease = lessor.grant(7, 10)
    assert lessor.checkpoint(7, told)
    assert lease.remaining == kept
    assert not lessor.checkpoint(8, 1)
