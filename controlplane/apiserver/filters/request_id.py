"""The request's id, given by the client or made here: in the answer, the audit log and our own log."""

import random

from controlplane.api import names
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request


class RequestId:
    """The filter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Give the request its id and the answer the headers that all have."""
        request.request_id = request.headers.get("audit-id") or names.generate_uid(self._rng)
        answer = await proceed(request)
        answer.headers.update(request.answer_headers)
        answer.headers["Audit-Id"] = request.request_id
        answer.headers.setdefault("Cache-Control", "no-cache, private")
        return answer
