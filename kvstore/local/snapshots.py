"""Snapshot files for programs around the store: the same functions, for callers that may know this package only."""

from kvstore.restore import RestoreError, SnapshotStatus, restore, snapshot_status

__all__ = ["RestoreError", "SnapshotStatus", "restore", "snapshot_status"]
