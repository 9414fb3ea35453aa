"""The composition root: builds all parts by hand, starts and stops them in order."""

import asyncio
import random
from collections.abc import Sequence

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.apiserver import routes
from controlplane.apiserver.admission.chain import AdmissionChain
from controlplane.apiserver.admission.escalation import EscalationCheck
from controlplane.apiserver.admission.interface import Plugin
from controlplane.apiserver.admission.registry import Surroundings, chosen
from controlplane.apiserver.admission.requester import Requester
from controlplane.apiserver.admission.selection.views import Views, converted
from controlplane.apiserver.aggregation.calls import RemoteServers
from controlplane.apiserver.aggregation.controller import ApiServices
from controlplane.apiserver.aggregation.directory import Directory
from controlplane.apiserver.aggregation.documents import RemoteDocuments
from controlplane.apiserver.audit import recorder as audit
from controlplane.apiserver.authn import build as authn
from controlplane.apiserver.authz.chain import build_authorizer
from controlplane.apiserver.authz.rbac.grants import GrantIndex
from controlplane.apiserver.bootstrap import flow_control
from controlplane.apiserver.bootstrap import loop as bootstrap
from controlplane.apiserver.bootstrap.masters import Masters, advertised
from controlplane.apiserver.callouts.client import WebhookClient
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.crd.serving import CustomResources
from controlplane.apiserver.encryption_metrics import EncryptionCollector
from controlplane.apiserver.filters.chain import Chain, default_filters
from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.flowcontrol.exposition import FlowCollector
from controlplane.apiserver.http.server import HttpServer, server_tls
from controlplane.apiserver.lookup import CachedLookup
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.nodes.kubelet import KubeletClient
from controlplane.apiserver.registry.allocation.interface import Allocator, NoAllocator
from controlplane.apiserver.registry.allocation.repair import repair_for_ever
from controlplane.apiserver.registry.allocation.services import Ledger, ServiceAllocator
from controlplane.apiserver.registry.quotas import StoredQuotas
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.served import Server
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS
from controlplane.kinds.core.service import SERVICES
from controlplane.storage.compaction import compact_for_ever
from controlplane.storage.encryption.encryption import Encryption
from controlplane.storage.errors import StorageError
from controlplane.storage.interface import Storage
from controlplane.storage.watch_cache import WatchCache
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)


def build_server(
    config: ApiServerConfig,
    storage: Storage,
    clock: Clock,
    rng: random.Random,
    more_plugins: Sequence[Plugin] = (),
) -> Server:
    """All parts, nothing started; `more_plugins` are asked after the built-in admission plugins."""
    caches = WatchCache(storage, clock, capacity=config.watch_cache_size)
    lookup = CachedLookup(storage, caches)
    authentication = authn.build(config, lookup, clock, rng)
    grants = GrantIndex(caches)
    authorizer = build_authorizer(config.authorization_modes, grants, caches)
    kubelet = KubeletClient(
        config.kubelet_client_cert_file, config.kubelet_client_key_file, config.kubelet_ca_file
    )
    metrics = Metrics()
    webhooks = WebhookClient(kubelet, lookup, rng)
    remote_servers = RemoteServers(
        kubelet, lookup, rng, config.proxy_client_cert_file, config.proxy_client_key_file
    )
    quotas = StoredQuotas(lambda: server.registries[RESOURCE_QUOTAS])
    admission = AdmissionChain(
        [
            # These are no plugins: nothing switches them off.
            Requester(),
            EscalationCheck(authorizer, grants),
            *chosen(
                Surroundings(
                    config,
                    lookup,
                    clock,
                    rng,
                    authorizer,
                    has_tokens=authentication.issuer is not None,
                    caches=caches,
                    scheme=lambda: server.scheme,
                    views=Views(lambda: server.scheme, converted),
                    webhooks=webhooks,
                    metrics=metrics.admission,
                    quotas=quotas,
                )
            ),
            *more_plugins,
        ]
    )
    allocators: dict[Resource, Allocator] = {
        SERVICES: ServiceAllocator(SERVICES, storage, config.service_ip_range, clock, rng),
    }
    nothing = NoAllocator()

    def new_registry(kind: Kind, row: Resource) -> Registry:
        allocator = allocators.get(kind.resource, nothing)
        return Registry(kind, row, storage, allocator, admission, clock, rng, caches.peek)

    flow = FlowControl(
        config.max_reads_in_flight + config.max_writes_in_flight,
        flow_control.mandatory(),
        clock.monotonic,
        lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
    )
    metrics.registry.register(FlowCollector(flow))
    server = Server(
        config=config,
        storage=storage,
        caches=caches,
        kubelet=kubelet,
        webhooks=webhooks,
        directory=Directory(caches),
        remote_servers=remote_servers,
        remote_documents=RemoteDocuments(remote_servers),
        metrics=metrics,
        clock=clock,
        rng=rng,
        authenticator=authentication.chain,
        tokens=authentication.tokens,
        issuer=authentication.issuer,
        key_ring=authentication.key_ring,
        lookup=lookup,
        authorizer=authorizer,
        grants=grants,
        flow=flow,
        audit=audit.build(config, clock, rng, metrics.registry),
        new_registry=new_registry,
    )
    server.serve(SCHEME)
    return server


def build_chain(server: Server) -> Chain:
    """The entry for requests."""
    return Chain(server, default_filters(server), routes.route)


def stored_kinds() -> dict[str, tuple[str, str]]:
    """Plural and group of the built-in kinds, by the prefix under which they are stored."""
    rows = [SCHEME.storage_row(kind.resource) for kind in SCHEME.kinds]
    return {row.key_prefix: (row.plural, row.group) for row in rows}


class ApiServer:
    """A running API server."""

    def __init__(
        self,
        config: ApiServerConfig,
        storage: Storage,
        clock: Clock,
        rng: random.Random,
        more_plugins: Sequence[Plugin] = (),
        *,
        encryption: Encryption | None = None,
    ) -> None:
        self.server = build_server(config, storage, clock, rng, more_plugins)
        self._custom = CustomResources(self.server, self.server.scheme)
        self.server.refresh = self._custom.refresh
        self._api_services = ApiServices(self.server, self.server.scheme)
        self._supervisor = Supervisor("apiserver")
        self._masters: Masters | None = None
        self._encryption = encryption
        if encryption is not None:
            encryption.on_reload = self.server.caches.drop_all
            self.server.metrics.registry.register(EncryptionCollector(encryption))
        self.chain = build_chain(self.server)
        self._http = HttpServer(
            self.chain.handle,
            max_body_bytes=config.max_body_bytes,
            stop_seconds=config.stop_seconds,
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._http.port

    async def start(self, *, listens: bool = True) -> None:
        """Start all parts; one that does not listen is asked through `chain`."""
        config = self.server.config
        # The caches first: whoever is served wants them.
        self.server.caches.start()
        if listens:
            # Then the door, since a probe must be answered while there is no store yet.
            tls = None
            if config.tls_cert_file:
                tls = server_tls(
                    config.tls_cert_file,
                    config.tls_key_file,
                    config.client_ca_file,
                    config.requestheader_client_ca_file,
                )
            await self._http.start(config.bind_address, config.secure_port, tls)
            log.info("serving", address=config.bind_address, port=self.port, tls=tls is not None)
        # The rest waits for the store by itself.
        self._supervisor.start(bootstrap.bootstrap(self.server), "bootstrap")
        self._supervisor.start(self._warm(), "warm")
        if config.compaction_interval_seconds:
            seconds, clock = config.compaction_interval_seconds, self.server.clock
            compaction = compact_for_ever(self.server.storage, seconds, clock)
            self._supervisor.start(compaction, "compaction", eternal=True)
        if self._encryption is not None and config.encryption_config_reload:
            follow_keys = self._encryption.follow(self.server.clock)
            self._supervisor.start(follow_keys, "encryption", eternal=True)
        if config.enable_priority_and_fairness:
            follow = flow_control.follow(self.server)
            self._supervisor.start(follow, "flow control", eternal=True)
        ledger = Ledger(self.server.storage, self.server.clock, self.server.rng)
        ranges = repair_for_ever(SERVICES, ledger, self.server.clock)
        self._supervisor.start(ranges, "ranges", eternal=True)
        self._supervisor.start(self._custom.run(), "custom resources", eternal=True)
        self._supervisor.start(self._api_services.run(), "API services", eternal=True)
        address = advertised(config)
        if address and listens:
            self._masters = Masters(self.server, (address, self.port))
            self._supervisor.start(self._masters.run(), "masters", eternal=True)

    async def _warm(self) -> None:
        """Load all caches, so that watches which come from another server find their place."""
        for registry in self.server.registries.values():
            try:
                await self.server.caches.cache(registry.row.key_prefix + "/")
            except StorageError as error:
                log.debug("cache not warmed", resource=registry.resource.plural, error=str(error))

    async def wait(self) -> None:
        """Raise the first failure of a background task; else for ever."""
        await self._supervisor.wait()

    async def stop(self) -> None:
        """Stop all parts, the newest first."""
        self.server.stopping.set()
        # Ends the watches: their cursors wake and see that the server stops.
        await self.server.caches.stop()
        await self._supervisor.stop(1.0)
        if self._masters is not None:
            await self._masters.leave()
        await self._http.stop()
        if self.server.audit is not None:
            await self.server.audit.close()
        await self.server.kubelet.close()
        await self.server.storage.close()
