"""Lock servicer: convert, call, convert. What a lock is stands in `kvstore.service.lock`."""

from kvstore.pb import lock_pb2 as pb
from kvstore.server.header import Header
from kvstore.server.recipe_keys import HandlerKeys
from kvstore.service.lock import LockService
from kvstore.service.recipes import RecipeError
from kvstore.wire.engine import UNKNOWN, CallContext, Handlers, UnaryHandler, WireError


class LockServicer:
    """v3lockpb.Lock. `handlers` are the bound KV and Lease handlers of this member."""

    def __init__(self, service: LockService, header: Header, handlers: Handlers) -> None:
        self._service = service
        self._header = header
        self._handlers = handlers

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {"/v3lockpb.Lock/Lock": self.lock, "/v3lockpb.Lock/Unlock": self.unlock}

    async def lock(self, data: bytes, context: CallContext) -> bytes:
        """LockRequest -> LockResponse, when the lock is held."""
        request = pb.LockRequest.FromString(data)
        keys = HandlerKeys(self._handlers, context)
        try:
            held = await self._service.lock(keys, request.name, request.lease)
        except RecipeError as error:
            raise WireError(UNKNOWN, str(error)) from error
        response = pb.LockResponse(key=held.key)
        return self._header.encoded(held.revision) + response.SerializeToString()

    async def unlock(self, data: bytes, context: CallContext) -> bytes:
        """UnlockRequest -> UnlockResponse."""
        request = pb.UnlockRequest.FromString(data)
        keys = HandlerKeys(self._handlers, context)
        return self._header.encoded(await self._service.unlock(keys, request.key))
