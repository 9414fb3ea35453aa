"""Keys over time: versions, the order of keys, history, compaction, and what the store can refuse.

Belongs here: anything about keys and revisions that needs no lease, command or log. Pure and synchronous; imports only
the standard library, msgspec and itself.
"""
