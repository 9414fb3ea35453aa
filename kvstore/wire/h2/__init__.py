"""Our own HTTP/2 front for gRPC: frames, header compression, flow control, gRPC messages, sockets.

Free of IO and asyncio: `frames`, `huffman`, `hpack`, `headers`, `limits`, `flow`, `stream`, `sending`, `control`,
`connection`, `messages`, `status`, `routing`. Nothing here knows what a call means: handlers come by method path. May
import kvstore.base and kvstore.wire.
"""
