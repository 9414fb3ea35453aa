"""The channels of exec, attach and port-forward inside one message-based connection. No IO: messages in, frames out.

A message is one byte that names a channel, then data. The `base64.` protocols carry the same as text: a digit, then
the data in base64, for clients that cannot send bytes. Version 5 adds a message that closes one channel (byte 255, then
the channel), so that the end of stdin can be told; before it only the end of the whole connection could say so.

Source: k8s.io/apimachinery/pkg/util/remotecommand (names, version 5), apiserver/pkg/util/wsstream (framing).
"""

import base64
import binascii
from dataclasses import dataclass

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
_CLOSE = 255

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
V4_BASE64 = "v4.base64.channel.k8s.io"
V1 = "channel.k8s.io"
V1_BASE64 = "base64.channel.k8s.io"
TUNNEL_PROTOCOL = "tcp"
"""What a kubelet's connection to a port of a pod is upgraded to: the bytes as they are."""
# What remote commands are spoken in, the best first; no name at all means version 1.
REMOTE_COMMAND_PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64, "")


class FramingError(ValueError):
    """A message that no channel can be told of."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Data for one channel; `is_end` says that the sender has closed it (`data` is empty then)."""

    channel: int
    data: bytes = b""
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Framing:
    """One protocol's form of frames.

    `has_status` tells what the error channel carries at the end: a metav1.Status as JSON (version 4
    and later), or plain text.
    """

    protocol: str

    @property
    def is_text(self) -> bool:
        """Whether messages are base64 text."""
        return "base64." in self.protocol

    @property
    def has_status(self) -> bool:
        """Whether the last word on the error channel is a Status."""
        return self.protocol.startswith(("v4.", "v5."))

    @property
    def can_close(self) -> bool:
        """Whether one channel can be closed by itself."""
        return self.protocol == V5

    def encode(self, channel: int, data: bytes) -> bytes | str:
        """The message that carries `data` on `channel`."""
        if not 0 <= channel < (10 if self.is_text else _CLOSE):
            raise FramingError(f"no such channel: {channel}")
        if self.is_text:
            return f"{channel}{base64.b64encode(data).decode()}"
        return bytes((channel,)) + data

    def encode_end(self, channel: int) -> bytes | None:
        """The message that closes `channel`; None where the protocol has none."""
        return bytes((_CLOSE, channel)) if self.can_close else None

    def decode(self, message: bytes | str) -> Frame:
        """The frame in a message of the other side; FramingError when there is none."""
        if self.is_text:
            return self._decode_text(message)
        raw = message.encode() if isinstance(message, str) else message
        if not raw:
            raise FramingError("empty message")
        if raw[0] != _CLOSE:
            return Frame(raw[0], raw[1:])
        if not self.can_close or len(raw) != 2:
            raise FramingError("a channel cannot be closed like this")
        return Frame(raw[1], is_end=True)

    def _decode_text(self, message: bytes | str) -> Frame:
        try:
            text = message if isinstance(message, str) else message.decode("ascii")
            if not text or text[0] not in "0123456789":
                raise FramingError("a message starts with the digit of its channel")
            return Frame(int(text[0]), base64.b64decode(text[1:], validate=True))
        except (UnicodeDecodeError, binascii.Error) as error:
            raise FramingError(f"not base64: {error}") from error
