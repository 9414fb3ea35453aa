"""Is this member well: the checks behind /health, /livez and /readyz.

`/health` is etcd's oldest: false with a reason if an alarm is up, no leader is known or a read fails. `/livez` asks
only whether this process can read its own state, `/readyz` whether clients should be sent here; both list their checks
by name (etcd 3.5.11 and later), and each check has a path of its own.
"""

from collections.abc import Awaitable, Callable, Collection

import msgspec

from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import ReplicationError
from kvstore.server.errors import to_wire
from kvstore.service.cluster import ClusterService

_ALARMS = {1: "NOSPACE", 2: "CORRUPT"}

LIVE_CHECKS = ("serializable_read",)
READY_CHECKS = ("data_corruption", "serializable_read", "linearizable_read")


class Report(msgspec.Struct, frozen=True):
    """What the checks said: a line each."""

    is_well: bool
    text: str


class Probes:
    """The checks of a member. Counts the answers of `/health`."""

    def __init__(self, cluster: ClusterService) -> None:
        self._cluster = cluster
        self.success_count = 0
        self.failure_count = 0
        self._checks: dict[str, Callable[[], Awaitable[str]]] = {
            "data_corruption": self._data_corruption,
            "serializable_read": self._serializable_read,
            "linearizable_read": self._linearizable_read,
        }

    async def health(self, *, is_serializable: bool, excluded_alarms: Collection[str]) -> str:
        """Why the member is not healthy, in etcd's words; empty if it is."""
        reason = self._alarm(excluded_alarms)
        if not reason and not is_serializable:
            if not self._cluster.status().leader_id:
                reason = "RAFT NO LEADER"
            else:
                failure = await self._linearizable_read()
                reason = f"RANGE ERROR:{failure}" if failure else ""
        if reason:
            self.failure_count += 1
        else:
            self.success_count += 1
        return reason

    async def run(self, names: Collection[str]) -> Report:
        """Run some checks, in order."""
        lines = []
        is_well = True
        for name in names:
            failure = await self._checks[name]()
            if failure:
                is_well = False
                lines.append(f"[-]{name} failed: {failure}\n")
            else:
                lines.append(f"[+]{name} ok\n")
        return Report(is_well, "".join(lines))

    def _alarm(self, excluded: Collection[str]) -> str:
        for _, alarm in self._cluster.alarms():
            name = _ALARMS.get(alarm, "UNKNOWN")
            if name not in excluded:
                return f"ALARM {name}"
        return ""

    async def _data_corruption(self) -> str:
        is_corrupt = any(alarm == 2 for _, alarm in self._cluster.alarms())
        return "alarm activated: CORRUPT" if is_corrupt else ""

    async def _serializable_read(self) -> str:
        # State is in memory: that this runs at all is the answer.
        return ""

    async def _linearizable_read(self) -> str:
        try:
            await self._cluster.confirm_health()
        except (ReplicationError, StoreError) as error:
            return to_wire(error).message
        return ""
