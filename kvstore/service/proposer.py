"""One way to the log: size limit, deadline, and refusals raised instead of returned.

Every use case that writes goes through `Proposer.submit`; nothing else calls `Replicator.propose`.
"""

from dataclasses import dataclass

from kvstore.machine.commands import Command, encode
from kvstore.machine.outcome import Outcome
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import Replicator
from kvstore.service.errors import RequestTooLarge


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """Bounds of one proposal."""

    max_request_bytes: int = 1_572_864
    """etcd's 1.5 MiB; counted on the encoded command."""

    timeout_seconds: float = 7.0
    """How long a caller waits: etcd's 5 s and twice the election timeout (1 s by default)."""


class Proposer:
    """Encodes, bounds and proposes commands."""

    def __init__(self, replicator: Replicator, limits: ProposalLimits) -> None:
        self._replicator = replicator
        self.limits = limits
        self.failed_count = 0

    async def submit(self, command: Command, *, timeout_seconds: float | None = None) -> Outcome:
        """The outcome of `command`, durable on a majority. Raises StoreError, ReplicationError, RequestTooLarge."""
        data = encode(command)
        if len(data) > self.limits.max_request_bytes:
            raise RequestTooLarge(len(data), self.limits.max_request_bytes)
        try:
            outcome: Outcome = await self._replicator.propose(
                data, timeout_seconds or self.limits.timeout_seconds
            )
        except Exception:
            self.failed_count += 1
            raise
        if isinstance(outcome.reply, StoreError):
            raise outcome.reply
        return outcome

    async def confirm_read(self, timeout_seconds: float | None = None) -> None:
        """Return once a read of local state is linearizable. Raises NoLeader or OutcomeUnknown."""
        await self._replicator.read_index(timeout_seconds or self.limits.timeout_seconds)
