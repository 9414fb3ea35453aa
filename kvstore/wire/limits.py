"""Bounds that both fronts share, with etcd's names and defaults where etcd has them."""

import msgspec

GRPC_OVERHEAD_BYTES = 512 * 1024
"""etcd allows a message this much more than a request, for its envelope."""

DEFAULT_MAX_CONCURRENT_STREAMS = 16_384
"""Streams a connection may have open. etcd's default is 2**32-1; an idle stream costs some KiB here, so that an
unbounded number would let one connection take all memory, and no client known opens more than some thousands."""


class Keepalive(msgspec.Struct, frozen=True):
    """etcd's --grpc-keepalive-min-time, -interval and -timeout."""

    min_time_seconds: float = 5.0
    """A client that pings more often than this, without traffic in between, is sent away."""

    interval_seconds: float = 7200.0
    """An idle connection is pinged this often; 0 = never."""

    timeout_seconds: float = 20.0
    """A ping unanswered for this long ends the connection."""
