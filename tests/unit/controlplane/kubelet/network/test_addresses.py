"""Addresses of pods."""

import pytest

from controlplane.kubelet.network.addresses import AddressPool, NoAddressLeftError


def test_addresses_are_distinct_and_come_back_late() -> None:
    pool = AddressPool("127.9.0.0/29")
    taken = [pool.take(name) for name in "abcde"]
    assert len(set(taken)) == 5
    with pytest.raises(NoAddressLeftError):
        pool.take("f")
    pool.release("b")
    assert pool.take("f") == taken[1]
    assert pool.take("f", "127.9.0.2") == taken[1]
