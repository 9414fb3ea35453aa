"""Chooses the front: our own HTTP/2 (`http2`, the default) or grpc.aio (`grpcio`).

Both serve the same handlers on the same addresses and answer alike; the second is kept as the yardstick of the first.
"""

from typing import Literal

from kvstore.wire.engine import Front, Handlers, Http1Factory, Listen, OnHandled
from kvstore.wire.limits import DEFAULT_MAX_CONCURRENT_STREAMS, Keepalive

GrpcEngine = Literal["http2", "grpcio"]


def make_front(
    engine: GrpcEngine,
    handlers: Handlers,
    listens: tuple[Listen, ...],
    *,
    max_request_bytes: int,
    max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS,
    on_handled: OnHandled,
    http1: Http1Factory | None = None,
    keepalive: Keepalive | None = None,
) -> Front:
    """A front that is not started yet. `http1` serves what is not gRPC; with grpc.aio nothing does."""
    # Only one of the two is loaded: either costs start-up time and memory.
    if engine == "grpcio":
        from kvstore.wire.grpcio_front import GrpcioFront

        return GrpcioFront(
            handlers,
            listens,
            max_request_bytes=max_request_bytes,
            max_concurrent_streams=max_concurrent_streams,
            on_handled=on_handled,
            keepalive=keepalive or Keepalive(),
        )
    from kvstore.wire.h2.front import Http2Front

    return Http2Front(
        handlers,
        listens,
        max_request_bytes=max_request_bytes,
        max_concurrent_streams=max_concurrent_streams,
        on_handled=on_handled,
        http1=http1,
        keepalive=keepalive or Keepalive(),
    )
