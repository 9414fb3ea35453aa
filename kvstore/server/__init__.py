"""etcd's gRPC services and the HTTP endpoints over the service layer.

Each servicer method is the same four steps: check, convert, call, convert. What belongs here: protobuf, etcd's request
rules, its error codes and strings. What never does: decisions about the store. Knows `wire.engine`, no engine.
"""
