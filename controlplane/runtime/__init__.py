"""What every controller runs on: queues, worker loops, shared caches, ownership, leadership, health.

Knows no kind but by what it is told. May import `controlplane.client`, `controlplane.api` and `kvstore.base`.
"""
