"""The controller: follows Ingresses, their classes, Services, endpoints and certificates, and keeps a server by them.

It listens only once there is an Ingress of its class. Changes are gathered for a moment; table, endpoints and
certificates are swapped at once, so that no request meets half of a change.
"""

import contextlib
import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controlplane.api import errors, meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.client.changes import Changes
from controlplane.client.events import Recorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.ingress import routes
from controlplane.ingress.certificates import Certificates, Key
from controlplane.ingress.routes import CLASS, CONTROLLER, Target
from controlplane.ingress.server import IngressServer, OpenSocket
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.networking.ingress import INGRESSES
from controlplane.kinds.networking.ingress_class import DEFAULT_ANNOTATION, INGRESS_CLASSES
from controlplane.proxy.frontends import Backend, SlicesOf, to_service
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)

_AGAIN_SECONDS = 2.0
"""How often what could not be had (a port of others, a write) is tried again."""

SlicesSource = Callable[[], SlicesOf]


@dataclass(frozen=True, slots=True)
class Door:
    """A place to listen at."""

    host: str
    port: int
    is_tls: bool = False


class IngressController:
    """Serves the Ingresses of its class at `doors`, and writes `address` into their statuses.

    Services and endpoint slices are its owner's caches; the slices are made of what `sources` hold.
    """

    def __init__(
        self,
        client: RestClient,
        services: Informer,
        slices_of: SlicesSource,
        sources: Sequence[Informer],
        doors: Sequence[Door],
        address: str,
        events: Recorder,
        clock: Clock,
        rng: random.Random,
        open_socket: OpenSocket | None = None,
    ) -> None:
        self._client = client
        self._services = services
        self._slices_of = slices_of
        self._sources = tuple(sources)
        self._doors = list(doors)
        self._address = address
        self._events = events
        self._clock = clock
        self._ingresses = Informer(client, INGRESSES, clock, rng=rng)
        self._classes = Informer(client, INGRESS_CLASSES, clock, rng=rng)
        self._secrets = Informer(
            client, SECRETS, clock, field_selector="type=kubernetes.io/tls", rng=rng
        )
        now = datetime.datetime.fromtimestamp(clock.time(), datetime.UTC)
        self._certificates = Certificates(now)
        self._server = IngressServer(rng, open_socket)
        self._open: set[Door] = set()
        self._told: set[tuple[str, str]] = set()
        self._changes = Changes(clock)

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("ingress")
        try:
            for informer in (self._services, *self._sources):
                self._changes.watch(informer)
            for informer in (self._ingresses, self._classes, self._secrets):
                self._changes.watch(informer)
                supervisor.start(informer.run(), informer.resource.plural, eternal=True)
            for informer in (self._ingresses, self._classes, self._secrets, self._services):
                await informer.wait_synced()
            await self._make_class()
            supervisor.start(self._changes.follow(self._sync), "sync", eternal=True)
            await supervisor.wait()
        finally:
            await self._server.stop()
            await supervisor.stop()

    async def _make_class(self) -> None:
        """The class that Ingresses get by default, unless there is another default one."""
        others = any(
            meta.annotations(one).get(DEFAULT_ANNOTATION) == "true"
            for one in self._classes.indexer.list()
        )
        notes = {} if others else {DEFAULT_ANNOTATION: "true"}
        made = {
            "metadata": {"name": CLASS, "annotations": notes},
            "spec": {"controller": CONTROLLER},
        }
        while self._classes.indexer.get(CLASS) is None:
            try:
                with contextlib.suppress(errors.AlreadyExists):
                    await self._client.create(INGRESS_CLASSES, made)
            except APIError as problem:
                log.debug("class not made yet", error=str(problem))
                await self._clock.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _sync(self) -> float | None:
        classes = self._classes.indexer.list()
        everyone = self._ingresses.indexer.list()
        served = [(one, routes.is_ours(one, classes)) for one in everyone]
        mine = [one for one, is_mine in served if is_mine]
        table = routes.build(mine)
        slices_of = self._slices_of()
        self._server.update(
            table, {target: self._pool(target, slices_of) for target in table.targets()}
        )
        self._serve_certificates(mine)
        is_whole = not mine or await self._listen()
        for ingress, is_mine in served:
            is_whole = await self._write_status(ingress, is_mine) and is_whole
        return None if is_whole else _AGAIN_SECONDS

    def _pool(self, target: Target, slices_of: SlicesOf) -> tuple[Backend, ...]:
        service = self._services.indexer.get(target.service, target.namespace)
        if service is None:
            return ()
        for port in meta.spec(service).get("ports") or ():
            if target.port in (port.get("port"), port.get("name")):
                if meta.spec(service).get("type") == "ExternalName":
                    return (Backend(str(meta.spec(service)["externalName"]), int(port["port"])),)
                return to_service(service, slices_of)[int(port["port"])].backends
        return ()

    def _serve_certificates(self, mine: Sequence[Obj]) -> None:
        named = routes.certificates(mine)
        found = {}
        for key in set(named.values()):
            secret = self._secrets.indexer.get(key[1], key[0])
            if secret is not None:
                found[key] = secret
        problems = self._certificates.update(
            found, lambda name: routes.certificate_for(named, name)
        )
        problems |= dict.fromkeys(
            set(named.values()) - found.keys(), "there is no such Secret of type kubernetes.io/tls"
        )
        self._tell(mine, problems)

    def _tell(self, mine: Sequence[Obj], problems: dict[Key, str]) -> None:
        """Once for each Ingress and each state of its certificates."""
        for ingress in mine:
            for row in meta.spec(ingress).get("tls") or ():
                name = str(row.get("secretName") or "")
                problem = problems.get((meta.namespace(ingress), name))
                what = (meta.uid(ingress), f"{name}: {problem}")
                if name and problem and what not in self._told:
                    self._told.add(what)
                    text = f"Certificate {name} is not served: {problem}"
                    self._events.event(ingress, "Warning", "BadCertificate", text)

    async def _listen(self) -> bool:
        for door in self._doors:
            if door in self._open:
                continue
            tls = self._certificates.context if door.is_tls else None
            try:
                await self._server.listen(door.host, door.port, tls)
            except OSError as problem:
                log.warning("cannot listen", at=f"{door.host}:{door.port}", error=str(problem))
            else:
                self._open.add(door)
        return len(self._open) == len(self._doors)

    async def _write_status(self, ingress: Obj, is_mine: bool) -> bool:
        rows = (meta.status(ingress).get("loadBalancer") or {}).get("ingress") or []
        has = any(row.get("ip") == self._address for row in rows)
        if is_mine == has:
            return True
        patch = {
            # Against the version that was seen: what changed meanwhile is looked at again.
            "metadata": {"resourceVersion": meta.resource_version(ingress)},
            "status": {"loadBalancer": {"ingress": [{"ip": self._address}]} if is_mine else None},
        }
        namespace, name = meta.key_of(ingress)
        try:
            await self._client.patch(INGRESSES, name, patch, namespace, subresource="status")
        except APIError as problem:
            log.debug("status not written", ingress=f"{namespace}/{name}", error=str(problem))
            return False
        return True
