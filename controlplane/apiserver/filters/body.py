"""The body, read whole once it is known that the request is wanted: nobody unknown makes us keep megabytes."""

from controlplane.apiserver.filters.interface import Next, is_passed_on
from controlplane.apiserver.http.messages import Answer, Request


async def body(request: Request, proceed: Next) -> Answer:
    """Read the body; not that of a request which is passed on, and with it its body as it comes."""
    if request.method not in ("GET", "HEAD") and not is_passed_on(request.info):
        request.body = await request.incoming.body()
    return await proceed(request)
