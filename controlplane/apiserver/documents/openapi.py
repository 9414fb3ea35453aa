"""/openapi/v2 and /openapi/v3: made at the first request for them, then kept.

The documents are made in a thread: it takes a good part of a second, and watches must not stall for it.
"""

import asyncio
import hashlib
from email.utils import formatdate

from controlplane.api import errors
from controlplane.api.wire.openapi import Documents, MergedDocuments
from controlplane.apiserver.aggregation import merging
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import MediaRange, parse_accept
from controlplane.apiserver.served import Server

# Compat: the type that is asked for has an `@`, which is not legal in an answer's Content-Type.
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


_V2_JSON = ("application/json", "*/*", "application/*")
# How long a document may be kept whose URL names its content: a year, in seconds.
_KEPT_SECONDS = 31536000


async def handle(server: Server, request: Request) -> Response:
    """An OpenAPI document."""
    words = [part for part in request.path.split("/") if part]
    if words == ["openapi", "v2"]:
        return await _v2(server, request)
    if words == ["openapi", "v3"]:
        index = await asyncio.to_thread(lambda: server.openapi.v3_index)
        others = [
            (one, server.remote_documents.of(one).openapi_v3)
            for one in server.directory.remotes()
            if one.is_available
        ]
        if others:
            index = merging.openapi_v3_index(index, others)
        # Compat: it is JSON, and said to be text.
        headers = {"Last-Modified": _date(server.openapi_since)}
        return Response(200, index, "text/plain; charset=utf-8", headers)
    if words[:2] == ["openapi", "v3"]:
        return await _v3(server, request, "/".join(words[2:]))
    raise errors.NotFound.path()


def _with_others(server: Server) -> Documents:
    """The documents with those of other API servers in version 2's; kept as long as none of them changes."""
    others = [
        (one, spec)
        for one in server.directory.remotes()
        if one.is_available and (spec := server.remote_documents.of(one).openapi_v2) is not None
    ]
    if not others:
        return server.openapi
    mark = (id(server.openapi), server.remote_documents.generation, tuple(r for r, _ in others))
    if server.merged_openapi is None or server.merged_openapi[0] != mark:
        own = server.openapi
        merged = MergedDocuments(own, lambda document: merging.openapi_v2(document, others))
        server.merged_openapi = (mark, merged)
    return server.merged_openapi[1]


def _date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


async def _v2(server: Server, request: Request) -> Response:
    documents = _with_others(server)
    for wanted in parse_accept(request.headers.get("accept", "")) or [MediaRange("*/*")]:
        if wanted.type in (_V2_PROTOBUF, _V2_PROTOBUF_ASKED):
            document = await asyncio.to_thread(lambda: documents.v2_protobuf)
            return _tagged(server, request, document, _V2_PROTOBUF)
        if wanted.type in _V2_JSON:
            document = await asyncio.to_thread(lambda: documents.v2_json)
            return _tagged(server, request, document, "application/json")
    # Compat: this handler answers outside of the API's ways to refuse.
    return Response(406, b"", "", {"Vary": "Accept"})


async def _v3(server: Server, request: Request, path: str) -> Response:
    documents = server.openapi
    document = await asyncio.to_thread(documents.v3_document, path)
    if document is None:
        raise errors.NotFound.path()
    given, right = request.option("hash"), documents.v3_hash(path)
    if given and given != right:
        # The document has changed since the client has read the index.
        where = f"/openapi/v3/{path}?hash={right}"
        headers = {"Location": where, "ETag": f'"{right}"', "Vary": "Accept"}
        return Response(301, b"", "application/json", headers)
    response = _tagged(server, request, document, "application/json")
    if given:
        # The URL names the content, so it may be kept.
        response.headers["Cache-Control"] = "public, immutable"
        response.headers["Expires"] = _date(server.clock.time() + _KEPT_SECONDS)
        response.headers.pop("Last-Modified", None)
    return response


def _tagged(server: Server, request: Request, document: bytes, content_type: str) -> Response:
    tag = f'"{hashlib.sha512(document).hexdigest().upper()}"'
    headers = {"ETag": tag, "Vary": "Accept", "Last-Modified": _date(server.openapi_since)}
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(304, b"", "", headers)
    return Response(200, document, content_type, headers)


def _is_known(header: str, tag: str) -> bool:
    """Whether If-None-Match names the document: any of its tags, weak ones too, or `*`."""
    given = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in given or tag in given
