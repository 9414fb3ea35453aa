"""IP addresses and ranges: what old fields take, what new ones take, what is only warned of."""

import pytest

from controlplane.api.validation import addresses

NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
MAPPED = "must not be an IPv4-mapped IPv6 address"


@pytest.mark.parametrize(
    ("text", "legacy", "canonical"),
    [
        ("10.0.0.1", [], []),
        ("fd00::1", [], []),
        ("FD00:0:0:0:0:0:0:1", [], ['must be in canonical form ("fd00::1")']),
        ("010.0.0.1", ["must not have leading 0s"], ["must not have leading 0s"]),
        ("::ffff:1.2.3.4", [MAPPED], [MAPPED]),
        ("fe80::1%eth0", [NOT_AN_ADDRESS], [NOT_AN_ADDRESS]),
        ("1.2.3", [NOT_AN_ADDRESS], [NOT_AN_ADDRESS]),
        ("", [NOT_AN_ADDRESS], [NOT_AN_ADDRESS]),
    ],
)
def test_addresses(text, legacy, canonical):
    assert [c.message.split('": ', 1)[1] for c in addresses.legacy_address("f", text)] == legacy
    assert [
        c.message.split('": ', 1)[1] for c in addresses.canonical_address("f", text)
    ] == canonical


@pytest.mark.parametrize(
    ("text", "legacy", "canonical"),
    [
        ("10.0.0.0/8", [], []),
        ("10.0.0.1/8", ["must not have bits set beyond the prefix length"], None),
        ("10.0.0.0/08", ["must not have leading 0s in IP or prefix length"], None),
        ("FD00::/64", [], ['must be in canonical form ("fd00::/64")']),
        ("10.0.0.0", [NOT_A_RANGE], None),
        ("10.0.0.0/33", [NOT_A_RANGE], None),
        ("::ffff:1.2.3.0/120", ["must not have an IPv4-mapped IPv6 address"], None),
    ],
)
def test_ranges(text, legacy, canonical):
    wanted = legacy if canonical is None else canonical
    assert [c.message.split('": ', 1)[1] for c in addresses.legacy_range("f", text)] == legacy
    assert [c.message.split('": ', 1)[1] for c in addresses.canonical_range("f", text)] == wanted


def test_what_is_stored_stays_good():
    assert addresses.legacy_address("f", "010.0.0.1", ["010.0.0.1"]) == []
    assert addresses.legacy_range("f", "10.0.0.1/8", ["10.0.0.1/8"]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.1", None),
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            "224.0.0.1",
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
    ],
)
def test_endpoints_are_reachable_from_elsewhere(text, words):
    found = [c.message.split('": ', 1)[1] for c in addresses.endpoint_address("f", text)]
    assert found == ([] if words is None else [words])


def test_warnings_name_the_better_form():
    assert addresses.address_warnings("f", "010.0.0.1") == [
        'f: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"'
    ]
    assert addresses.address_warnings("f", "FD00::1") == [
        'f: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")'
    ]
    assert addresses.range_warnings("f", "10.0.0.1/8") == [
        'f: CIDR value "10.0.0.1/8" is ambiguous in this context '
        '(should be "10.0.0.0/8" or "10.0.0.1/32"?)'
    ]
    assert addresses.address_warnings("f", "10.0.0.1") == []
