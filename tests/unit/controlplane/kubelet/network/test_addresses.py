"""Addresses of pods."""

import pytest

from controlplane.kubelet.network.addresses import AddressPool, NoAddressLeftError, own_network


def test_addresses_are_distinct_and_come_back_late() -> None:
    pool = AddressPool("127.9.0.0/29")
    taken = [pool.take(name) for name in "abcde"]
    assert len(set(taken)) == 5
    with pytest.raises(NoAddressLeftError):
        pool.take("f")
    pool.release("b")
    assert pool.take("f") == taken[1]
    assert pool.take("f", "127.9.0.2") == taken[1]


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("127.64.1.0/24", "10.244.1.0/24"),
        ("127.231.7.0/25", "10.244.7.0/25"),
        ("10.9.0.0/24", "10.9.0.0/24"),
    ],
)
def test_loopback_ranges_have_a_counterpart(cidr: str, expected: str) -> None:
    assert own_network(cidr) == expected
