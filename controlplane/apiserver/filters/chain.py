"""The order in which a request passes the filters; the only list of them."""

from collections.abc import Awaitable, Callable, Sequence

from controlplane.apiserver.filters.accounting import Accounting
from controlplane.apiserver.filters.aggregation import Aggregation
from controlplane.apiserver.filters.audit import Audit, FailedAuthenticationAudit
from controlplane.apiserver.filters.authentication import Authentication
from controlplane.apiserver.filters.authorization import Authorization
from controlplane.apiserver.filters.body import body
from controlplane.apiserver.filters.compression import compression
from controlplane.apiserver.filters.deadline import Deadline
from controlplane.apiserver.filters.failures import failures
from controlplane.apiserver.filters.fairness import Fairness
from controlplane.apiserver.filters.flow_control import FlowControl
from controlplane.apiserver.filters.impersonation import Impersonation
from controlplane.apiserver.filters.interface import Filter, Next
from controlplane.apiserver.filters.long_running import LongRunning
from controlplane.apiserver.filters.request_id import RequestId
from controlplane.apiserver.filters.warnings import warnings
from controlplane.apiserver.http import info as request_info
from controlplane.apiserver.http.messages import Answer, Incoming, Request
from controlplane.apiserver.served import Server

Route = Callable[[Server, Request], Awaitable[Answer]]


def default_filters(server: Server) -> list[Filter]:
    """The filters from the outside in."""
    config = server.config
    audit: list[Filter] = []
    failed_audit: list[Filter] = []
    if server.audit is not None:
        audit.append(Audit(server.audit))
        failed_audit.append(FailedAuthenticationAudit(server.audit))
    return [
        # First, so that whatever is answered carries the id.
        RequestId(server.rng),
        # Outside `failures`: refusals are counted by their code.
        Accounting(server.metrics, server.clock),
        # Outside `failures`, too: a refusal may come with warnings.
        warnings,
        compression,
        failures,
        # Before everything that may take time: what is left of it goes on with the request.
        Deadline(config.request_timeout_seconds),
        LongRunning(server.metrics),
        *failed_audit,
        # Before everything that treats users differently.
        Authentication(server.authenticator),
        # Around everything that a known user does, and before he becomes somebody else.
        *audit,
        # Before everything that is done for the user who is acted as.
        Impersonation(server.authorizer),
        # Before authorization, so that a flood of requests costs no decisions.
        _flow_control(server),
        Authorization(server.authorizer),
        # Before the body is read: another server reads it.
        Aggregation(
            server.directory,
            server.remote_servers,
            server.front_proxy_headers,
            config.request_timeout_seconds,
        ),
        body,
    ]


def _flow_control(server: Server) -> Filter:
    config = server.config
    if not config.enable_priority_and_fairness:
        return FlowControl(
            server.metrics,
            max_reads=config.max_reads_in_flight,
            max_writes=config.max_writes_in_flight,
        )
    seconds = config.request_timeout_seconds
    return Fairness(server.flow, server.metrics, server.clock, server.count_of, seconds)


class Chain:
    """The filters around a route: the server's entry for whoever carries requests, a socket or a test."""

    def __init__(self, server: Server, filters: Sequence[Filter], route: Route) -> None:
        async def answered(request: Request) -> Answer:
            return await route(server, request)

        entry: Next = answered
        for one in reversed(filters):
            entry = _before(one, entry)
        self._entry = entry

    async def handle(self, incoming: Incoming) -> Answer:
        """Answer a request; never raises but for cancellation."""
        watching = incoming.query.get("watch", ["false"])[0] not in ("0", "f", "false", "False")
        request = Request(
            method=incoming.method,
            path=incoming.path,
            info=request_info.parse(incoming.method, incoming.path, is_watch=watching),
            query=incoming.query,
            headers=incoming.headers,
            incoming=incoming,
        )
        return await self._entry(request)


def _before(one: Filter, following: Next) -> Next:
    async def step(request: Request) -> Answer:
        return await one(request, following)

    return step
