"""Replication: the seam (`replicator`), its durable parts and the engine behind it (`pysync`).

Belongs here: journal, snapshots, pending proposals, read index. Never: what commands mean, gRPC, HTTP.
May import `kvstore.base`; only the folder `pysync` knows PySyncObj.
"""
