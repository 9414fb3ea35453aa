"""/openapi/v2 and /openapi/v3: made at the first request for them, then kept.

The documents are made in a thread: it takes a good part of a second, and watches must not stall for it.
"""

import asyncio
import hashlib

from controlplane.api import errors
from controlplane.api.wire.openapi import Documents
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import parse_accept
from controlplane.apiserver.served import Parts

# Compat: the type that is asked for has an `@`, which is not legal in an answer's Content-Type.
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


async def handle(parts: Parts, request: Request) -> Response:
    """An OpenAPI document."""
    documents = parts.openapi
    words = [part for part in request.path.split("/") if part]
    if words == ["openapi", "v2"]:
        return await _v2(documents, request)
    if words == ["openapi", "v3"]:
        return Response(200, await asyncio.to_thread(lambda: documents.v3_index))
    if words[:2] == ["openapi", "v3"]:
        return await _v3(documents, request, "/".join(words[2:]))
    raise errors.NotFound.path()


async def _v2(documents: Documents, request: Request) -> Response:
    for wanted in parse_accept(request.headers.get("accept", "")) or []:
        if wanted.type in (_V2_PROTOBUF, _V2_PROTOBUF_ASKED):
            document = await asyncio.to_thread(lambda: documents.v2_protobuf)
            return _tagged(request, document, _V2_PROTOBUF)
        if wanted.type in ("application/json", "*/*", "application/*"):
            break
    document = await asyncio.to_thread(lambda: documents.v2_json)
    return _tagged(request, document, "application/json")


async def _v3(documents: Documents, request: Request, path: str) -> Response:
    document = await asyncio.to_thread(documents.v3_document, path)
    if document is None:
        raise errors.NotFound.path()
    response = _tagged(request, document, "application/json")
    if request.option("hash") == documents.v3_hash(path):
        # The URL names the content, so it may be kept for ever.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _tagged(request: Request, document: bytes, content_type: str) -> Response:
    tag = '"' + hashlib.sha256(document).hexdigest()[:32].upper() + '"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("if-none-match") == tag:
        return Response(304, b"", content_type, headers)
    return Response(200, document, content_type, headers)
