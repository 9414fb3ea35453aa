"""Our own HTTP/2 front for gRPC: frames, header compression, flow control, gRPC messages, sockets.

`frames`, `huffman`, `hpack`, `headers`, `flow`, `connection` and `messages` are free of IO and of asyncio. Nothing here
knows what a call means: handlers come in by method path (kvstore.wire.engine). May import kvstore.base and kvstore.wire.
"""
