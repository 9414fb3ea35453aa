"""gRPC fronts: they turn bytes on a socket into calls of handlers by full method path, and back.

What belongs here: engines. What never does: what a method means; servicers (kvstore.server) know no engine. May import
base only.
"""
