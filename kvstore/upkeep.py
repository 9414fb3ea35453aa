"""What a member does beside serving: watch the disk, compare hashes, free memory, follow members that move.

`Node` builds one, starts `run` and hands every applied entry on; so the composition root stays a list of parts.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from kvstore import identity as identities
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.config.members import address_of
from kvstore.config.reader import MemberConfig
from kvstore.identity import Identity
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import PeersMoved
from kvstore.raft.replicator import DamagedData, RaftSettings, Replicator
from kvstore.service.corruption import CorruptionWatch
from kvstore.service.disk import DiskWatch
from kvstore.service.proposer import Proposer
from kvstore.service.reclaimer import Reclaimer

log = get_logger("kvstore.upkeep")

_SETTLE_SECONDS = 1.0
_SETTLED_AT_ONCE = 512
_SETTLE_PAUSE_SECONDS = 0.002


class Upkeep:
    """What a member does for itself beside serving: alarms, space, digests and old files; `run` it."""

    def __init__(
        self,
        config: MemberConfig,
        settings: RaftSettings,
        machine: StateMachine,
        replicator: Replicator,
        proposer: Proposer,
        clock: Clock,
    ) -> None:
        self._config, self._settings, self._machine = config, settings, machine
        self.disk = DiskWatch(machine, replicator, proposer, clock, config.member_id)
        self.corruption = CorruptionWatch(
            machine, proposer, clock, config.member_id, len(config.peer_urls), config.corruption
        )
        self.reclaimer = Reclaimer(machine.reclaim, clock)
        self._clock = clock
        self._replicator = replicator
        machine.on_restore(self._peers_moved)
        replicator.on_members(lambda _: self._peers_moved())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle(), name="settle")
            group.create_task(self.disk.run(), name="disk")
            group.create_task(self.corruption.run(), name="corruption")
            group.create_task(self.reclaimer.run(), name="reclaimer")

    async def _settle(self) -> None:
        """Hash what was written, a little at a time, so that a digest is ready when it is asked for."""
        while True:
            await self._clock.sleep(_SETTLE_SECONDS)
            while self._machine.settle(_SETTLED_AT_ONCE):
                await self._clock.sleep(_SETTLE_PAUSE_SECONDS)

    def on_applied(self, outcomes: Iterable[Any]) -> None:
        """An entry was applied."""
        for outcome in outcomes:
            if outcome.effects:
                self.reclaimer.on_applied((outcome,))
                self.corruption.on_applied((outcome,))
                if any(isinstance(one, PeersMoved) for one in outcome.effects):
                    self._peers_moved()

    def _peers_moved(self) -> None:
        """Dial members where they are now, and remember it for the next start."""
        config, settings = self._config, self._settings
        known = {seat.id: seat.peer_urls for seat in self._replicator.configuration()}
        known = known or dict(config.peer_urls)
        moved = self._machine.peer_urls
        urls = {one: tuple(moved.get(one, listed)) for one, listed in known.items()}
        urls = {one: listed or config.peer_urls.get(one, ()) for one, listed in urls.items()}
        for one, listed in urls.items():
            if listed:
                settings.peers[one] = address_of(listed[0])
        self.corruption.member_count = len(urls)
        settings.peer_urls.clear()
        settings.peer_urls.update(urls)
        if config.member_id not in urls:
            # Removed: what it was is what its folder says.
            return
        wanted = Identity(
            config.member_id,
            config.cluster_id,
            config.name,
            urls,
            config.is_joined,
            config.is_emptied,
        )
        try:
            if identities.load(config.data_dir) != wanted:
                wanted.save(config.data_dir)
                log.info(
                    "peer URLs of members are updated", members=sorted(map(str, urls.values()))
                )
        except (OSError, DamagedData) as error:
            log.warning("the members' peer URLs could not be written down", error=str(error))
