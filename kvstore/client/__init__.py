"""The store's asyncio client: `client.Client` is the door, `blocking.SyncClient` the blocking one.

Here belongs what a program needs to speak the store's API over sockets: endpoints and fail-over, results, errors,
watches, leases. Imports `kvstore.base` and `kvstore.pb` only; never the server's parts, so it works on etcd too.
"""
