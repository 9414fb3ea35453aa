"""Which group versions other servers answer, by the APIServices in the cache; looked at anew when they have changed."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.followed import Followed
from controlplane.kinds.apiregistration.api_service import API_SERVICES
from controlplane.storage.watch_cache import WatchCache

_PORT = 443


@dataclass(frozen=True, slots=True)
class Remote:
    """One group version of another server. `ca_bundle` is PEM, empty for what the machine trusts."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    ca_bundle: bytes = b""
    is_insecure: bool = False
    is_available: bool = False

    @property
    def host(self) -> str:
        """What its certificate must be for."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def path(self) -> str:
        """The path of its discovery document."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def identity(self) -> tuple[object, ...]:
        """All but whether it is available."""
        return self.name, *self.server, self.ca_bundle, self.is_insecure

    @property
    def server(self) -> tuple[str, str, int]:
        """Whose it is: several group versions may be one server's."""
        return self.namespace, self.service, self.port


@dataclass(frozen=True, slots=True)
class Priority:
    """How far in front a group stands among groups, and a version in its group."""

    group: int
    version: int


def condition_of(obj: Obj) -> Obj:
    """The condition Available of an APIService; empty when there is none."""
    rows = meta.status(obj).get("conditions") or ()
    return next((row for row in rows if row.get("type") == "Available"), {})


def remote_of(obj: Obj) -> Remote | None:
    """What an APIService says of another server; None for one that this server answers."""
    spec = meta.spec(obj)
    service = spec.get("service")
    if not service:
        return None
    try:
        bundle = base64.b64decode(spec.get("caBundle") or "")
    except binascii.Error:
        bundle = b""
    return Remote(
        meta.name(obj),
        str(spec.get("group") or ""),
        str(spec.get("version") or ""),
        str(service.get("namespace") or ""),
        str(service.get("name") or ""),
        int(service.get("port") or _PORT),
        bundle,
        bool(spec.get("insecureSkipTLSVerify")),
        condition_of(obj).get("status") == "True",
    )


class Directory:
    """All APIServices, as this server knows them now."""

    def __init__(self, caches: WatchCache) -> None:
        self._followed = Followed(API_SERVICES, caches)
        self._remotes: dict[tuple[str, str], Remote] = {}
        self._priorities: dict[tuple[str, str], Priority] = {}

    async def load(self) -> None:
        """Read all, where that is to be done; until then nothing is known. APIError when the store is away."""
        if await self._followed.changes() != []:
            self._read()

    def _look(self) -> None:
        """See what has come since. Without waiting: what this server answers itself must not wait for the store."""
        if self._followed.poll():
            self._read()

    def _read(self) -> None:
        self._remotes, self._priorities = {}, {}
        for _, obj in self._followed.items():
            spec, remote = meta.spec(obj), remote_of(obj)
            place = (str(spec.get("group") or ""), str(spec.get("version") or ""))
            self._priorities[place] = Priority(
                int(spec.get("groupPriorityMinimum") or 0), int(spec.get("versionPriority") or 0)
            )
            if remote is not None:
                self._remotes[place] = remote

    def find(self, group: str, version: str) -> Remote | None:
        """Who else answers a group version; None when this server does."""
        self._look()
        return self._remotes.get((group, version))

    def remotes(self) -> list[Remote]:
        """All that others answer, by name."""
        self._look()
        return sorted(self._remotes.values(), key=lambda one: one.name)

    def priorities(self) -> dict[tuple[str, str], Priority]:
        """(group, version) -> priority, of all APIServices."""
        self._look()
        return self._priorities

    def objects(self) -> list[Obj]:
        """The APIServices themselves; not to be changed."""
        self._look()
        return [obj for _, obj in self._followed.items()]
