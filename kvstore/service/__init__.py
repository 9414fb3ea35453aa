"""Use cases of the store as coroutines, engine-neutral: no gRPC, no protobuf, no Raft library.

What belongs here: what a client may ask (kv, watch, lease, cluster) and what a member does on its own while it leads
(expiry, compactor). Errors are domain errors (mvcc, raft, `errors.py`). May import raft.replicator, machine, mvcc,
lease, base; never server, wire, pb.
"""
