"""Election servicer: convert, call, convert. What an election is stands in `kvstore.service.election`."""

from collections.abc import AsyncIterator

from kvstore.machine.outcome import KeyValue
from kvstore.pb import election_pb2 as pb
from kvstore.server.convert import key_value_to_pb
from kvstore.server.header import Header
from kvstore.server.recipe_keys import HandlerKeys
from kvstore.service.election import MISSING_LEADER_KEY, ElectionService, Leadership
from kvstore.service.recipes import RecipeError
from kvstore.wire.engine import (
    UNKNOWN,
    CallContext,
    Handlers,
    Send,
    StreamHandler,
    UnaryHandler,
    WireError,
)


class ElectionServicer:
    """v3electionpb.Election. `handlers` are the bound KV and Lease handlers of this member."""

    def __init__(self, service: ElectionService, header: Header, handlers: Handlers) -> None:
        self._service = service
        self._header = header
        self._handlers = handlers

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {
            "/v3electionpb.Election/Campaign": self.campaign,
            "/v3electionpb.Election/Proclaim": self.proclaim,
            "/v3electionpb.Election/Leader": self.leader,
            "/v3electionpb.Election/Resign": self.resign,
        }

    def stream(self) -> dict[str, StreamHandler]:
        """Stream handlers by method path."""
        return {"/v3electionpb.Election/Observe": self.observe}

    async def campaign(self, data: bytes, context: CallContext) -> bytes:
        """CampaignRequest -> CampaignResponse, when the caller leads."""
        request = pb.CampaignRequest.FromString(data)
        try:
            mine, revision = await self._service.campaign(
                self._keys(context), request.name, request.lease, request.value
            )
        except RecipeError as error:
            raise _refused(error) from error
        leader = pb.LeaderKey(
            name=request.name, key=mine.key, rev=mine.create_revision, lease=mine.lease
        )
        response = pb.CampaignResponse(leader=leader)
        return self._header.encoded(revision) + response.SerializeToString()

    async def proclaim(self, data: bytes, context: CallContext) -> bytes:
        """ProclaimRequest -> ProclaimResponse."""
        request = pb.ProclaimRequest.FromString(data)
        if not request.HasField("leader"):
            raise WireError(UNKNOWN, MISSING_LEADER_KEY)
        try:
            revision = await self._service.proclaim(
                self._keys(context), _leadership(request.leader), request.value
            )
        except RecipeError as error:
            raise _refused(error) from error
        return self._header.encoded(revision)

    async def leader(self, data: bytes, context: CallContext) -> bytes:
        """LeaderRequest -> LeaderResponse."""
        request = pb.LeaderRequest.FromString(data)
        try:
            kv, revision = await self._service.leader(self._keys(context), request.name)
        except RecipeError as error:
            raise _refused(error) from error
        return self._response(revision, kv)

    async def resign(self, data: bytes, context: CallContext) -> bytes:
        """ResignRequest -> ResignResponse."""
        request = pb.ResignRequest.FromString(data)
        if not request.HasField("leader"):
            raise WireError(UNKNOWN, MISSING_LEADER_KEY)
        revision = await self._service.resign(self._keys(context), _leadership(request.leader))
        return self._header.encoded(revision)

    async def observe(
        self, requests: AsyncIterator[bytes], send: Send, context: CallContext
    ) -> None:
        """LeaderRequest -> LeaderResponses, until the client goes away."""
        data = await anext(aiter(requests), b"")
        request = pb.LeaderRequest.FromString(data)

        async def tell(revision: int, kv: KeyValue) -> None:
            await send(self._response(revision, kv))

        await self._service.observe(self._keys(context), request.name, tell)

    def _keys(self, context: CallContext) -> HandlerKeys:
        return HandlerKeys(self._handlers, context)

    def _response(self, revision: int, kv: KeyValue) -> bytes:
        response = pb.LeaderResponse(kv=key_value_to_pb(kv))
        return self._header.encoded(revision) + response.SerializeToString()


def _leadership(leader: pb.LeaderKey) -> Leadership:
    return Leadership(leader.key, leader.rev, leader.lease)


def _refused(error: RecipeError) -> WireError:
    return WireError(UNKNOWN, str(error))
