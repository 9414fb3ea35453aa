"""Errors made answers: an `APIError` becomes its Status, anything else a 500 whose cause stands in our log only."""

import msgspec

from controlplane.api import errors
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Answer, Request, Response
from kvstore.base.log import get_logger

log = get_logger(__name__)


async def failures(request: Request, proceed: Next) -> Answer:
    """Never raises but for cancellation."""
    try:
        return await proceed(request)
    except errors.APIError as error:
        return refusal(error)
    except Exception as error:
        # The edge: a fault of ours is told as such, with its stack in the log only.
        log.exception(
            "request failed",
            path=request.path,
            verb=request.info.verb,
            request_id=request.request_id,
        )
        text = f"{type(error).__name__}, see the log for {request.request_id}"
        return refusal(errors.Internal(text))


def refusal(error: errors.APIError) -> Response:
    """The Status of an error, as JSON: every client reads it."""
    headers = {}
    if error.retry_after_seconds:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return Response(error.status_code, msgspec.json.encode(error.status()), negotiate.JSON, headers)
