"""Lease calls handed to the leading member, over gRPC to the client address that it made known through the log.

One channel a member, kept open. On TLS the member shows its own server certificate and trusts the clients' authority,
so with client certificates required, server certificates need the client usage too (etcd's gateway needs the same).
That certificate says which member calls, not for whom: with authentication on the call carries the user's name under a
seal that only members can make.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import grpc

from kvstore.auth.errors import AuthError
from kvstore.mvcc.errors import LeaseNotFound
from kvstore.pb import rpc_pb2 as pb
from kvstore.raft.replicator import MemberId, NoLeader, NotLeader, OutcomeUnknown
from kvstore.server.errors import TABLE
from kvstore.server.lease import FORWARDED_HEADER, VOUCHED_HEADER
from kvstore.service.lease import TimeToLive
from kvstore.wire.engine import ServerTls

_AUTH_ERRORS = {text: cls for cls, (_, text) in TABLE.items() if issubclass(cls, AuthError)}


class GrpcLeasePeer:
    """`LeasePeer` over grpc.aio."""

    def __init__(
        self, urls_of: Callable[[MemberId], tuple[str, ...]], tls: ServerTls | None
    ) -> None:
        self._urls_of = urls_of
        self._tls = tls
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def keep_alive(
        self, leader: MemberId, lease_id: int, timeout_seconds: float, proof: str = ""
    ) -> int:
        """The renewed TTL. Raises LeaseNotFound, AuthError, NoLeader, NotLeader, OutcomeUnknown."""
        call = self._channel(leader).stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive", None, None
        )(None, timeout=timeout_seconds, metadata=_metadata(proof))
        try:
            await call.write(pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString())
            data = await call.read()
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        finally:
            call.cancel()
        if not isinstance(data, bytes):
            raise NoLeader
        response = pb.LeaseKeepAliveResponse.FromString(data)
        if response.TTL <= 0:
            raise LeaseNotFound
        return response.TTL

    async def time_to_live(
        self,
        leader: MemberId,
        lease_id: int,
        with_keys: bool,
        timeout_seconds: float,
        proof: str = "",
    ) -> TimeToLive:
        """The leader's answer. Raises AuthError, NoLeader, NotLeader, OutcomeUnknown."""
        request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=with_keys)
        try:
            data: bytes = await self._channel(leader).unary_unary(
                "/etcdserverpb.Lease/LeaseTimeToLive", None, None
            )(request.SerializeToString(), timeout=timeout_seconds, metadata=_metadata(proof))
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        response = pb.LeaseTimeToLiveResponse.FromString(data)
        return TimeToLive(response.TTL, response.grantedTTL, tuple(response.keys))

    async def close(self) -> None:
        """Close all channels."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close(None)

    def _channel(self, leader: MemberId) -> grpc.aio.Channel:
        urls = self._urls_of(leader)
        if not urls:
            raise NoLeader(f"the leader {leader:x} has not made its client address known yet")
        url = urls[0]
        channel = self._channels.get(url)
        if channel is None:
            channel = self._channels[url] = self._open(url)
        return channel

    def _open(self, url: str) -> grpc.aio.Channel:
        scheme, _, rest = url.partition("://")
        if scheme in ("unix", "unixs"):
            target = f"unix:{rest}"
        else:
            target = rest.rstrip("/")
        # A leader that was down and is back must be reached at once, not after gRPC's own long back-off.
        options = [
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if scheme not in ("https", "unixs") or self._tls is None:
            return grpc.aio.insecure_channel(target, options=options)
        tls = self._tls
        root: Path = tls.ca_file or tls.cert_file
        credentials = grpc.ssl_channel_credentials(
            root_certificates=root.read_bytes(),
            private_key=tls.key_file.read_bytes(),
            certificate_chain=tls.cert_file.read_bytes(),
        )
        return grpc.aio.secure_channel(target, credentials, options=options)


def _metadata(proof: str) -> tuple[tuple[str, str], ...]:
    forwarded = (FORWARDED_HEADER, "1")
    # Header values are ASCII, user names need not be.
    return (forwarded, (VOUCHED_HEADER, quote(proof, safe=":"))) if proof else (forwarded,)


def _translate(error: grpc.aio.AioRpcError) -> Exception:
    code = error.code()
    refused = _AUTH_ERRORS.get(error.details() or "")
    if refused is not None:
        return refused()
    if code == grpc.StatusCode.NOT_FOUND:
        return LeaseNotFound()
    if code == grpc.StatusCode.FAILED_PRECONDITION:
        return NotLeader()
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return OutcomeUnknown()
    return NoLeader(f"the leader could not be asked: {error.details()}")
