"""The body, read whole once it is known that the request is wanted: nobody unknown makes us keep megabytes."""

from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request


async def body(request: Request, proceed: Next) -> Answer:
    """Read the body."""
    if request.method not in ("GET", "HEAD"):
        request.body = await request.incoming.body()
    return await proceed(request)
