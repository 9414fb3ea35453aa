"""What every handler is given: the parts of the running server, by name, and which kinds it serves now."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme
from controlplane.api.wire.openapi import Documents
from controlplane.apiserver.aggregation.calls import RemoteServers
from controlplane.apiserver.aggregation.directory import Directory
from controlplane.apiserver.aggregation.documents import RemoteDocuments
from controlplane.apiserver.audit.recorder import Recorder
from controlplane.apiserver.authn.bearer import TokenChain
from controlplane.apiserver.authn.chain import AuthenticatorChain
from controlplane.apiserver.authn.tokens.issuer import TokenIssuer
from controlplane.apiserver.authn.tokens.keys import KeyRing
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.authz.rbac.grants import GrantIndex
from controlplane.apiserver.backends.headers import Secrets
from controlplane.apiserver.callouts.client import WebhookClient
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.nodes.kubelet import KubeletClient
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests.item_texts import ItemTexts
from controlplane.storage.interface import Storage
from controlplane.storage.watch_cache import WatchCache
from kvstore.base.clock import Clock


async def _nothing_new() -> bool:
    return False


@dataclass(slots=True)
class Server:
    """The running server.

    `registries` has the registry of each kind of `scheme`, `openapi` its documents; `serve` replaces all three at once.
    A request that has begun goes on with the registry it has.
    """

    config: ApiServerConfig
    storage: Storage
    caches: WatchCache
    kubelet: KubeletClient
    webhooks: WebhookClient
    # Group versions that other servers answer, and those servers.
    directory: Directory
    remote_servers: RemoteServers
    remote_documents: RemoteDocuments
    metrics: Metrics
    clock: Clock
    rng: random.Random
    authenticator: AuthenticatorChain
    # Bearer tokens of all sorts, also for TokenReviews.
    tokens: TokenChain
    # None when the server was given no key to sign with.
    issuer: TokenIssuer | None
    key_ring: KeyRing | None
    lookup: Lookup
    authorizer: Authorizer
    # Who has which roles, whether or not the authorizer heeds them.
    grants: GrantIndex
    # Whose request is served next.
    flow: FlowControl
    # None where no policy says what is written.
    audit: Recorder | None
    # Makes the registry of a kind; the row is the one under which its objects are stored.
    new_registry: Callable[[Kind, Resource], Registry]
    scheme: Scheme = field(default_factory=lambda: Scheme(()))
    registries: dict[Resource, Registry] = field(default_factory=dict)
    openapi: Documents = field(default_factory=lambda: Documents(Scheme(())))
    item_texts: ItemTexts = field(default_factory=ItemTexts)
    # What they became with those of other servers, and of what that was made.
    merged_openapi: tuple[object, Documents] | None = None
    # When the documents became what they are, in seconds since the epoch.
    openapi_since: float = 0.0
    # Sees which kinds have come or gone by now; whether that changed what is served.
    refresh: Callable[[], Awaitable[bool]] = _nothing_new
    # Set when the server ends: watches return.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when the objects every cluster has are there.
    bootstrapped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def front_proxy_headers(self) -> Secrets:
        """What front proxies say who asks by: never passed on to whoever is behind this server."""
        config = self.config
        names = (
            *config.requestheader_username_headers,
            *config.requestheader_uid_headers,
            *config.requestheader_group_headers,
        )
        prefixes = config.requestheader_extra_headers_prefix
        return Secrets(
            tuple(name.lower() for name in names), tuple(prefix.lower() for prefix in prefixes)
        )

    @property
    def address(self) -> str:
        """Where clients reach this server, as `host:port`."""
        return f"{self.config.bind_address}:{self.config.secure_port}"

    def serve(self, scheme: Scheme) -> None:
        """Serve the kinds of `scheme` and no others, from the next request on."""
        registries = {}
        for kind in scheme.kinds:
            known = self.registries.get(kind.resource)
            if known is None or known.kind is not kind:
                known = self.new_registry(kind, scheme.storage_row(kind.resource))
            registries[kind.resource] = known
        self.scheme, self.registries, self.openapi = scheme, registries, Documents(scheme)
        self.openapi_since = self.clock.time()

    def count_of(self, group: str, version: str, plural: str) -> int | None:
        """How many objects of a kind there are; None when it is not of this server, or not known yet."""
        resource = self.scheme.by_plural(group, version, plural)
        if resource is None:
            return None
        return self.caches.count(self.scheme.storage_row(resource).key_prefix + "/")
