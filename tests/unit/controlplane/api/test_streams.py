"""Channels in messages: every protocol, both ways, and what is refused."""

import pytest

from controlplane.api.streams import (
    REMOTE_COMMAND_PROTOCOLS,
    STDOUT,
    Frame,
    Framing,
    FramingError,
)


@pytest.mark.parametrize("protocol", REMOTE_COMMAND_PROTOCOLS, ids=lambda one: one or "unnamed")
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256))], ids=["nothing", "a", "all bytes"])
def test_what_is_encoded_is_decoded(protocol: str, data: bytes) -> None:
    framing = Framing(protocol)
    for channel in range(5):
        message = framing.encode(channel, data)
        assert isinstance(message, str) == ("base64" in protocol)
        assert framing.decode(message) == Frame(channel, data)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("v4.channel.k8s.io", b"\x01out"),
        ("channel.k8s.io", b"\x01out"),
        ("", b"\x01out"),
        ("v4.base64.channel.k8s.io", "1b3V0"),
        ("base64.channel.k8s.io", "1b3V0"),
    ],
)
def test_the_bytes_are_those_of_the_original(protocol: str, message: bytes | str) -> None:
    assert Framing(protocol).encode(STDOUT, b"out") == message


@pytest.mark.parametrize("protocol", REMOTE_COMMAND_PROTOCOLS, ids=lambda one: one or "unnamed")
def test_only_version_five_closes_one_channel(protocol: str) -> None:
    framing = Framing(protocol)
    message = framing.encode_end(0)
    if protocol == "v5.channel.k8s.io":
        assert message == b"\xff\x00"
        assert framing.decode(message) == Frame(0, is_end=True)
    else:
        assert message is None


@pytest.mark.parametrize(
    ("protocol", "has_status"),
    [("v5.channel.k8s.io", True), ("v4.base64.channel.k8s.io", True), ("channel.k8s.io", False)],
)
def test_how_the_end_is_told(protocol: str, has_status: bool) -> None:
    assert Framing(protocol).has_status is has_status


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("v4.channel.k8s.io", b""),
        ("v4.channel.k8s.io", b"\xff\x00"),
        ("v5.channel.k8s.io", b"\xff"),
        ("v5.channel.k8s.io", b"\xff\x00\x01"),
        ("base64.channel.k8s.io", ""),
        ("base64.channel.k8s.io", "xYQ=="),
        ("base64.channel.k8s.io", "1not base64"),
        ("base64.channel.k8s.io", b"\xff\xff"),
    ],
)
def test_messages_without_a_frame_are_refused(protocol: str, message: bytes | str) -> None:
    with pytest.raises(FramingError):
        Framing(protocol).decode(message)


@pytest.mark.parametrize(("protocol", "channel"), [("", 255), ("", -1), ("base64.x", 10)])
def test_channels_that_cannot_be_named_are_refused(protocol: str, channel: int) -> None:
    with pytest.raises(FramingError):
        Framing(protocol).encode(channel, b"x")
