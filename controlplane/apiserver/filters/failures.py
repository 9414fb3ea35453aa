"""Errors made answers: an `APIError` becomes its Status, anything else a 500 whose cause stands in our log only."""

from controlplane.api import errors
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request, Response
from controlplane.apiserver.requests import render
from kvstore.base.log import get_logger

log = get_logger(__name__)


async def failures(request: Request, proceed: Next) -> Answer:
    """Never raises but for cancellation."""
    try:
        return await proceed(request)
    except errors.APIError as error:
        return refusal(request, error)
    except Exception as error:
        # The edge: a fault of ours is told as such, with its stack in the log only.
        log.exception(
            "request failed",
            path=request.path,
            verb=request.info.verb,
            request_id=request.request_id,
        )
        text = f"{type(error).__name__}, see the log for {request.request_id}"
        return refusal(request, errors.Internal(text))


def refusal(request: Request, error: errors.APIError) -> Response:
    """The Status of an error, in the form the client has asked for."""
    response = render.status(request, error.status(), error.status_code)
    if error.retry_after_seconds:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response
