"""A `Socket` as channels: what handlers of exec, attach and port-forward read and write."""

from controlplane.api.streams import Frame, Framing
from controlplane.apiserver.http.messages import Socket


class Duplex:
    """Frames both ways in the protocol the socket has agreed on."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.framing = Framing(socket.protocol)

    async def receive(self) -> Frame | None:
        """The next frame of the client, None at the end; FramingError for a message that is none."""
        message = await self._socket.receive()
        return None if message is None else self.framing.decode(message)

    async def send(self, channel: int, data: bytes) -> None:
        """Send data on a channel; ConnectionError when the client is gone."""
        await self._socket.send(self.framing.encode(channel, data))

    async def end(self, channel: int) -> None:
        """Close one channel, where the protocol can say that."""
        message = self.framing.encode_end(channel)
        if message is not None:
            await self._socket.send(message)
