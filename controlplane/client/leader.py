"""Leader election through a Lease object, by client-go's rules.

A candidate takes the lease when it is free, released, or when *it has itself seen* the same record for the whole lease
duration: times written by others are never compared with the own clock. The leader renews every `retry_period`; when no
renewal has succeeded for `renew_deadline`, counted from the moment the last good one was *sent*, it cancels its work,
waits for its end, and only then campaigns again. As `lease_duration` is longer than `renew_deadline`, the work is
over before anyone else begins - if clocks run at the same rate.

Limits: a process that is stopped (SIGSTOP) cannot cancel anything. `check`, used as the client's guard, refuses its
changes when it wakes up; a request that was already on its way can still arrive late. Lease durations are whole
seconds on the wire, rounded up.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable

from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.meta import Obj
from controlplane.api.times import to_micro
from controlplane.client.rest import RestClient
from controlplane.kinds.coordination.lease import LEASES
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_JITTER = 1.2  # client-go's JitterFactor, which also bounds renew_deadline from below

_log = get_logger("leader")


class NotLeader(RuntimeError):
    """A change was refused because leadership is lost or in doubt."""


class _Lost(Exception):
    """Ends the task group of the work."""


class _Finished(Exception):
    """The work returned by itself."""


class LeaderElector:
    """One candidate."""

    def __init__(
        self,
        client: RestClient,
        lease_namespace: str,
        lease_name: str,
        identity: str,
        clock: Clock,
        *,
        lease_duration_seconds: float = 15.0,
        renew_deadline_seconds: float = 10.0,
        retry_period_seconds: float = 2.0,
        rng: random.Random | None = None,
        on_new_leader: Callable[[str], None] | None = None,
    ) -> None:
        if not lease_duration_seconds > renew_deadline_seconds:
            raise ValueError("the lease duration must be greater than the renew deadline")
        if not renew_deadline_seconds > retry_period_seconds * _JITTER:
            raise ValueError(f"the renew deadline must be greater than {_JITTER} retry periods")
        if retry_period_seconds <= 0:
            raise ValueError("the retry period must be greater than zero")
        self.identity = identity
        self.leader = ""  # whom we last saw holding the lease
        self._client = client
        self._namespace = lease_namespace
        self._name = lease_name
        self._clock = clock
        self._duration = lease_duration_seconds
        self._deadline = renew_deadline_seconds
        self._retry = retry_period_seconds
        self._timeout = max(retry_period_seconds, renew_deadline_seconds / 3)
        self._rng = rng or random.Random()
        self._on_new_leader = on_new_leader
        self._resource = LEASES
        self._leading = False
        self._renewed_at = -math.inf  # monotonic, when the last successful renewal was sent
        self._lease: Obj | None = None  # as last seen or written
        self._seen_spec: Obj | None = None
        self._seen_at = -math.inf

    @property
    def is_leader(self) -> bool:
        """Whether we lead and the lease is fresh enough to act."""
        return self._leading and self._clock.monotonic() - self._renewed_at < self._deadline

    def check(self) -> None:
        """Raise NotLeader unless leading: the guard for RestClient.guarded."""
        if not self.is_leader:
            raise NotLeader(
                f"{self.identity} does not hold the lease {self._namespace}/{self._name}"
            )

    async def run_with_leadership(self, work: Callable[[], Awaitable[None]]) -> None:
        """Campaign, run `work()` while leading, again and again; returns when a work returns.

        Cancel to stop: the work ends first, then the lease is released so that another may lead at once.
        """
        finished = False
        while not finished:
            await self._acquire()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._run_work(work), name=f"{self._name}/work")
                    group.create_task(self._renew(), name=f"{self._name}/renew")
                    group.create_task(self._watch_deadline(), name=f"{self._name}/deadline")
            except* _Finished:
                finished = True
            except* _Lost:
                _log.warning("leadership lost", lease=self._name, identity=self.identity)
            finally:
                # The work is over here in every case; only now may another begin.
                await self._release()

    async def _run_work(self, work: Callable[[], Awaitable[None]]) -> None:
        await work()
        raise _Finished

    async def _acquire(self) -> None:
        while not await self._try():
            await self._clock.sleep(self._retry * self._rng.uniform(1, _JITTER))
        self._leading = True
        _log.info("became leader", lease=self._name, identity=self.identity)

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._retry)
            renewed = await self._try()
            if not renewed and self.leader not in ("", self.identity):
                self._leading = False
                raise _Lost

    async def _watch_deadline(self) -> None:
        # Apart from `_renew`, whose request may hang.
        while True:
            left = self._renewed_at + self._deadline - self._clock.monotonic()
            if left <= 0:
                self._leading = False
                raise _Lost
            await self._clock.sleep(left)

    async def _try(self) -> bool:
        """One attempt to take or keep the lease."""
        sent_at = self._clock.monotonic()
        try:
            if self._leading and self._lease is not None:
                try:
                    await self._write(self._lease, sent_at)
                    return True
                except APIError:
                    pass  # someone wrote it, or our answer was lost: look
            sent_at = self._clock.monotonic()
            return await self._look_and_take(sent_at)
        except APIError as error:
            _log.debug("lease attempt failed", lease=self._name, error=str(error))
            return False

    async def _look_and_take(self, sent_at: float) -> bool:
        try:
            lease = await self._client.get(
                self._resource, self._name, self._namespace, timeout_seconds=self._timeout
            )
        except NotFound:
            lease = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": {}}
            try:
                await self._write(lease, sent_at)
            except AlreadyExists:
                return False
            return True
        self._observe(lease)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self.identity:
            valid_seconds = float(spec.get("leaseDurationSeconds") or self._duration)
            if self._seen_at + valid_seconds > self._clock.monotonic():
                return False
        if holder == self.identity and not self._leading:
            # Ours from before a restart or a loss in doubt: nobody else can have it, take it on.
            _log.info("lease is ours already", lease=self._name)
        await self._write(lease, sent_at)
        return True

    async def _write(self, lease: Obj, sent_at: float) -> None:
        old = lease.get("spec") or {}
        now = to_micro(self._clock.time())
        kept = self._leading and old.get("holderIdentity") == self.identity
        transitions = int(old.get("leaseTransitions") or 0)
        if old.get("holderIdentity") != self.identity and lease["metadata"].get("resourceVersion"):
            transitions += 1
        wanted = {
            **lease,
            "spec": {
                **old,
                "holderIdentity": self.identity,
                "leaseDurationSeconds": math.ceil(self._duration),
                "acquireTime": (old.get("acquireTime") if kept else None) or now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
        if lease["metadata"].get("resourceVersion"):
            written = await self._client.update(
                self._resource, wanted, timeout_seconds=self._timeout
            )
        else:
            written = await self._client.create(
                self._resource, wanted, timeout_seconds=self._timeout
            )
        self._renewed_at = sent_at
        self._observe(written)

    def _observe(self, lease: Obj) -> None:
        self._lease = lease
        spec = lease.get("spec") or {}
        if spec != self._seen_spec:
            self._seen_spec = spec
            self._seen_at = self._clock.monotonic()
        holder = spec.get("holderIdentity") or ""
        if holder != self.leader:
            self.leader = holder
            if self._on_new_leader is not None:
                self._on_new_leader(holder)

    async def _release(self) -> None:
        """Give the lease back, if we surely hold it; a failure only makes others wait it out."""
        leading, self._leading = self._leading, False
        lease, self._lease = self._lease, None
        if not leading or lease is None:
            return
        now = to_micro(self._clock.time())
        spec = {
            **(lease.get("spec") or {}),
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": now,
            "acquireTime": now,
        }
        try:
            released = await self._client.update(
                self._resource, {**lease, "spec": spec}, timeout_seconds=self._timeout
            )
            self._observe(released)
        except APIError as error:
            _log.info("lease not released", lease=self._name, error=str(error))
