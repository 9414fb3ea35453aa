"""The time a request may take: the client's `timeout`, at most the server's. Long requests have none of ours."""

import asyncio

from controlplane.api import errors
from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.http.messages import Answer, Request
from kvstore.base.durations import parse_duration


class Deadline:
    """The filter."""

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Answer in time, or 504: then the outcome of a write is not known."""
        if is_long(request.info) or not request.info.is_resource:
            return await proceed(request)
        try:
            async with asyncio.timeout(seconds_of(request, self._most_seconds)):
                return await proceed(request)
        except TimeoutError:
            raise errors.Timeout("request did not complete within the allotted timeout") from None


def seconds_of(request: Request, most_seconds: float) -> float:
    """The time that a request has; BadRequest for a `timeout` that cannot be read."""
    text = request.option("timeout")
    if not text:
        return most_seconds
    try:
        wanted = parse_duration(text)
    except ValueError as error:
        raise errors.BadRequest(f"invalid timeout specified in the request URL: {error}") from error
    return min(wanted, most_seconds) if wanted > 0 else most_seconds
