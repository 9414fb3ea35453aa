"""The replicated state machine: commands in, outcomes out, snapshots.

Belongs here: what ties keys and leases together, and their forms as bytes. Pure and synchronous; imports mvcc and
lease only.
"""
