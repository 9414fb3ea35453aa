"""gRPC's standard health service.

As in etcd only the server as a whole (the empty name) is known; other names are NOT_FOUND, or unknown in a watch.
Serving means the process takes calls. Whether there is a quorum is for /readyz: a load balancer that drops all members
at once when a leader is lost helps nobody.
"""

import asyncio
from collections.abc import AsyncIterator

from kvstore.pb import health_pb2 as pb
from kvstore.wire.engine import (
    NOT_FOUND,
    CallContext,
    Send,
    StreamHandler,
    UnaryHandler,
    WireError,
)

_Response = pb.HealthCheckResponse


class HealthServicer:
    """grpc.health.v1.Health."""

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {"/grpc.health.v1.Health/Check": self.check}

    def stream(self) -> dict[str, StreamHandler]:
        """Stream handlers by method path."""
        return {"/grpc.health.v1.Health/Watch": self.watch}

    async def check(self, data: bytes, _: CallContext) -> bytes:
        """HealthCheckRequest -> HealthCheckResponse."""
        request = pb.HealthCheckRequest.FromString(data)
        if request.service:
            raise WireError(NOT_FOUND, "unknown service")
        return _Response(status=_Response.SERVING).SerializeToString()

    async def watch(self, requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        """HealthCheckRequest -> the status, until the client goes away or the member stops."""
        data = await anext(aiter(requests), b"")
        request = pb.HealthCheckRequest.FromString(data)
        status = _Response.SERVICE_UNKNOWN if request.service else _Response.SERVING
        await send(_Response(status=status).SerializeToString())
        # The status does not change while the member runs; at its stop the stream ends, which clients take as down.
        await asyncio.Event().wait()
