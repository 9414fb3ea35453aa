"""Large answers to reads are compressed for clients that say they can read it.

Objects and lists from 128 KiB on (the original's deferred writer has the same limit: below it costs more time than it
saves), and OpenAPI documents of any size. It is done in a thread, since it takes milliseconds.
"""

import asyncio
import zlib

from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request, Response

LEAST_BYTES = 128 * 1024
_OPENAPI_V2 = "/openapi/v2"
# The quickest level: the rest of the gain is not worth the time.
_LEVEL = 1
_GZIP = 31


async def compression(request: Request, proceed: Next) -> Answer:
    """The answer of the rest of the chain, compressed where the client takes it and it pays."""
    answer = await proceed(request)
    if not isinstance(answer, Response) or request.method != "GET":
        return answer
    is_openapi = request.path == _OPENAPI_V2
    if is_openapi:
        varies = answer.headers.get("Vary")
        answer.headers["Vary"] = f"Accept-Encoding, {varies}" if varies else "Accept-Encoding"
    is_large = request.info.is_resource and len(answer.body) > LEAST_BYTES
    if answer.body and (is_openapi or is_large) and _accepts_gzip(request):
        answer.body = await asyncio.to_thread(compressed, answer.body)
        answer.headers["Content-Encoding"] = "gzip"
        if is_large:
            answer.headers["Vary"] = "Accept-Encoding"
    return answer


def _accepts_gzip(request: Request) -> bool:
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, params = part.partition(";")
        if name.strip() == "gzip":
            return params.replace(" ", "") not in ("q=0", "q=0.0")
    return False


def compressed(body: bytes) -> bytes:
    """`body` in gzip's form."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
