"""Asking members who is in their cluster, before this one has an id or a log."""

import asyncio
import ssl
from collections.abc import Iterable

from kvstore.raft.pysync.connection import HELLO_LIMIT_BYTES
from kvstore.raft.pysync.frames import BadFrame, FrameReader, encode
from kvstore.raft.pysync.messages import AskMembers, Members
from kvstore.raft.pysync.peer_tls import PeerContexts
from kvstore.raft.replicator import PeerTls

ASK_SECONDS = 5.0


async def ask_members(addresses: Iterable[tuple[str, int]], tls: PeerTls | None) -> Members | None:
    """The answer of the first address that gives one; None if none does. Each is waited for a few seconds."""
    context = PeerContexts(tls).client
    for host, port in addresses:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found = await _ask(host, port, context)
        except (OSError, ssl.SSLError, TimeoutError, BadFrame, asyncio.IncompleteReadError):
            continue
        if found is not None and found.members:
            return found
    return None


async def _ask(host: str, port: int, context: ssl.SSLContext | None) -> Members | None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(encode(AskMembers()))
        await writer.drain()
        frames = FrameReader(HELLO_LIMIT_BYTES * 16)
        while data := await reader.read(HELLO_LIMIT_BYTES):
            for message in frames.feed(data):
                if isinstance(message, Members):
                    return message
        return None
    finally:
        writer.close()
