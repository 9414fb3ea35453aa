"""What one connection may ask for and hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection."""

    max_concurrent_streams: int = 16_384
    stream_window: int = 256 * 1024
    """Bytes a stream may have under way to us; more only delays the bound on what nobody reads."""

    connection_window: int = 4 << 20
    max_header_list_bytes: int = 64 * 1024
    max_header_fragments: int = 32
    """Frames of one header block; with 16 KiB frames, an honest block needs five."""

    min_ping_seconds: float = 5.0
    max_unsent_bytes: int = 64 << 20
    """Answers that wait for a slow reader; one answer alone may be larger."""

    max_unread_bytes: int = 64 << 20
    """Requests that wait to be complete or to be taken."""
