"""gRPC server reflection, v1 and v1alpha (their messages have the same bytes): tools like grpcurl need no .proto files.

What is told is what is served: the services of the handlers, and the descriptors that the code was generated from.
"""

from collections.abc import AsyncIterator, Callable, Collection

from google.protobuf.descriptor import FileDescriptor

from kvstore.pb import election_pb2, health_pb2, lock_pb2, reflection_alpha_pb2, rpc_pb2
from kvstore.pb import reflection_pb2 as pb
from kvstore.pb.pool import POOL
from kvstore.wire.engine import NOT_FOUND, CallContext, Handlers, Send, StreamHandler

_FILES = (
    rpc_pb2.DESCRIPTOR,
    lock_pb2.DESCRIPTOR,
    election_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    pb.DESCRIPTOR,
    reflection_alpha_pb2.DESCRIPTOR,
)


class ReflectionServicer:
    """grpc.reflection.v1.ServerReflection and its v1alpha."""

    def __init__(self, services: Callable[[], Collection[str]]) -> None:
        self._services = services
        self._pool = POOL
        self._files: dict[str, FileDescriptor] = {}
        for file in _FILES:
            self._add(file)

    def stream(self) -> dict[str, StreamHandler]:
        """Stream handlers by method path."""
        return {
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": self.info,
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": self.info,
        }

    async def info(self, requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        """Each request is answered in turn; what is not found is an error in the answer, not of the stream."""
        async for data in requests:
            await send(self.answer(pb.ServerReflectionRequest.FromString(data)).SerializeToString())

    def answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        """The answer to one request."""
        response = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in sorted(self._services()):
                response.list_services_response.service.add(name=name)
            return response
        if kind == "file_by_filename":
            found = self._files.get(request.file_by_filename)
            missing = f"File not found: {request.file_by_filename}"
        elif kind == "file_containing_symbol":
            found = self._file_of(request.file_containing_symbol)
            missing = f"Symbol not found: {request.file_containing_symbol}"
        elif kind == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            found = self._file_of(name)
            missing = f"Type not found: {name}"
            if found is not None:
                # proto3 messages have no extensions.
                response.all_extension_numbers_response.base_type_name = name
                return response
        else:
            found, missing = None, "not found"
        if found is None:
            response.error_response.error_code = NOT_FOUND
            response.error_response.error_message = missing
        else:
            self._describe(response, found)
        return response

    def _add(self, file: FileDescriptor) -> None:
        if file.name not in self._files:
            self._files[file.name] = file
            for one in file.dependencies:
                self._add(one)

    def _file_of(self, symbol: str) -> FileDescriptor | None:
        try:
            found = self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return None
        # The pool may hold files of other libraries in the process.
        return self._files.get(found.name)

    def _describe(self, response: pb.ServerReflectionResponse, file: FileDescriptor) -> None:
        """The file and all it imports; each before those that it imports, as grpc-go sends them."""
        ordered: dict[str, FileDescriptor] = {}

        def visit(one: FileDescriptor) -> None:
            if one.name not in ordered:
                for other in one.dependencies:
                    visit(other)
                ordered[one.name] = one

        visit(file)
        response.file_descriptor_response.file_descriptor_proto.extend(
            one.serialized_pb for one in reversed(ordered.values())
        )


def services_of(handlers: Handlers) -> set[str]:
    """Names of the services that are served and described; aliases of methods are not among them."""
    served = {path.split("/")[1] for path in (*handlers.unary, *handlers.stream)}
    described = {one.full_name for file in _FILES for one in file.services_by_name.values()}
    return served & described
