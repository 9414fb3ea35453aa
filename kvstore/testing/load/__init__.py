"""The load generator of `quorate bench`: etcd requests by hand over HTTP/2, cheap enough not to be what is measured.

Belongs here: the client side of the wire without any library on its path, the workloads, and the worker process that
runs one workload and reports figures as JSON. It speaks to every etcd v3 endpoint in exactly the same way.
"""
