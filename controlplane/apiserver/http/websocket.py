"""An `Upgrade` carried out by the HTTP library: the handshake, then a `Socket` for the handler.

Refused before the handshake: requests that ask for no WebSocket, and clients whose sub-protocols the handler does not
speak. A message above the limit ends the connection (close code 1009), as does a handler that fails (1011).
"""

from aiohttp import WSMsgType, web

from controlplane.api import errors
from controlplane.apiserver.http.messages import Upgrade
from kvstore.base.log import get_logger

log = get_logger(__name__)

# One message of a stream; kubectl sends pieces of at most 32 KiB.
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_CLOSE_SECONDS = 2.0


class _AiohttpSocket:
    """A `Socket` of the HTTP library."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str) -> None:
        self._socket = socket
        self.protocol = protocol

    async def receive(self) -> bytes | str | None:
        message = await self._socket.receive()
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            data: bytes | str = message.data
            return data
        return None

    async def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)


def _refused(message: str) -> web.Response:
    return web.json_response(errors.BadRequest(message).status(), status=400)


async def serve(request: web.BaseRequest, upgrade: Upgrade) -> web.StreamResponse:
    """Shake hands and run the handler; returns when the connection is done with."""
    offered = [
        one.strip()
        for value in request.headers.getall("Sec-WebSocket-Protocol", ())
        for one in value.split(",")
        if one.strip()
    ]
    protocol = upgrade.choose(offered)
    if protocol is None:
        spoken = ", ".join(one for one in upgrade.protocols if one)
        return _refused(f"unable to upgrade: none of the sub-protocols {spoken} was requested")
    socket = web.WebSocketResponse(
        protocols=(protocol,) if protocol else (),
        max_msg_size=_MAX_MESSAGE_BYTES,
        timeout=_CLOSE_SECONDS,
        # Small interactive messages: compressing costs more than it saves.
        compress=False,
    )
    if not socket.can_prepare(request).ok:
        return _refused("Upgrade request required")
    socket.headers.update(upgrade.headers)
    await socket.prepare(request)
    code = 1011
    try:
        await upgrade.handler(_AiohttpSocket(socket, protocol))
        code = 1000
    except (ConnectionError, OSError):
        log.debug("upgraded connection cut by the client", path=request.path)
    except Exception:
        log.exception("upgraded connection failed", path=request.path)
    finally:
        await socket.close(code=code)
    return socket
