"""One way to the log: size limit, deadline, and refusals raised instead of returned.

Every use case that writes goes through `Proposer.submit`; nothing else calls `Replicator.propose`.
"""

import msgspec

from kvstore.auth.errors import AuthError
from kvstore.machine.commands import Command, Plain, encode
from kvstore.machine.outcome import Outcome
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import Replicator
from kvstore.service.errors import RequestTooLarge
from kvstore.service.guard import SYSTEM, Caller, Guard

_REFUSALS = (StoreError, AuthError)


class ProposalLimits(msgspec.Struct, frozen=True):
    """Bounds of one proposal."""

    max_request_bytes: int = 1_572_864
    """etcd's 1.5 MiB; counted on the encoded command."""

    timeout_seconds: float = 7.0
    """How long a caller waits: etcd's 5 s and twice the election timeout (1 s by default)."""


class Proposer:
    """Encodes, bounds and proposes commands. Without a `guard` nothing is said of who wants them."""

    def __init__(
        self, replicator: Replicator, limits: ProposalLimits, guard: Guard | None = None
    ) -> None:
        self._replicator = replicator
        self._guard = guard
        self.limits = limits
        self.failed_count = 0
        self.failed_read_count = 0
        self.pending_count = 0

    async def submit(
        self,
        command: Plain,
        caller: Caller | None = None,
        *,
        timeout_seconds: float | None = None,
        only_in_term: int = 0,
    ) -> Outcome:
        """The outcome of `command`, which `caller` wants, durable on a majority; in one term only, if that is given.

        Raises StoreError, AuthError, ReplicationError, RequestTooLarge.
        """
        signed: Command = command
        guard = self._guard
        if guard is not None and (guard.is_enabled or caller is SYSTEM):
            signed = await guard.sign(command, caller)
        data = encode(signed)
        if len(data) > self.limits.max_request_bytes:
            raise RequestTooLarge(len(data), self.limits.max_request_bytes)
        self.pending_count += 1
        try:
            outcome: Outcome = await self._replicator.propose(
                data,
                timeout_seconds or self.limits.timeout_seconds,
                only_in_term=only_in_term,
            )
        except Exception:
            self.failed_count += 1
            raise
        finally:
            self.pending_count -= 1
        if isinstance(outcome.reply, _REFUSALS):
            raise outcome.reply
        return outcome

    def term(self) -> int:
        """The current term as this member knows it."""
        return self._replicator.leadership()[1]

    async def confirm_read(self, timeout_seconds: float | None = None) -> None:
        """Return once a read of local state is linearizable. Raises NoLeader or OutcomeUnknown."""
        try:
            await self._replicator.read_index(timeout_seconds or self.limits.timeout_seconds)
        except Exception:
            self.failed_read_count += 1
            raise
