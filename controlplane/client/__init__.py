"""How programs talk to the API server: transport, typed verbs, caches, events, leader election.

Nothing here knows what a controller does. May import `controlplane.api` and `kvstore.base`; never storage.
"""
