"""Maintenance.Downgrade as etcd 3.5 answers it: one minor version down, one at a time.

There is one data format, so a downgrade changes nothing but what is said about it. etcd 3.5.1 times out on enable and
cancel, although both take effect; here they answer.
"""

import re

from kvstore.machine.commands import Downgrade
from kvstore.service.errors import (
    DowngradeInProgress,
    InvalidDowngradeTarget,
    NoInflightDowngrade,
    UnknownMethod,
    WrongDowngradeVersionFormat,
)
from kvstore.service.guard import Caller
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer
from kvstore.version import CLUSTER_VERSION

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?")
VALIDATE, ENABLE, CANCEL = 0, 1, 2


class DowngradeService:
    """The three actions."""

    def __init__(self, machine: MachineView, proposer: Proposer) -> None:
        self._machine = machine
        self._proposer = proposer

    async def handle(self, action: int, version: str, caller: Caller | None = None) -> str:
        """Do `action`; the cluster's version. Raises ServiceError."""
        if action == VALIDATE:
            await self._validate(version)
        elif action == ENABLE:
            target = await self._validate(version)
            await self._proposer.submit(Downgrade(target), caller)
        elif action == CANCEL:
            await self._proposer.confirm_read()
            if not self._machine.downgrade_version:
                raise NoInflightDowngrade
            await self._proposer.submit(Downgrade(), caller)
        else:
            raise UnknownMethod
        return CLUSTER_VERSION

    async def _validate(self, version: str) -> str:
        await self._proposer.confirm_read()
        match = _VERSION.fullmatch(version)
        if match is None:
            raise WrongDowngradeVersionFormat
        major, minor, _ = CLUSTER_VERSION.split(".")
        if (int(match[1]), int(match[2])) != (int(major), int(minor) - 1):
            raise InvalidDowngradeTarget
        if self._machine.downgrade_version:
            raise DowngradeInProgress
        return f"{match[1]}.{match[2]}.0"
