"""Warning headers: what handlers have to say beside their answer, each text once (RFC 7234, code 299)."""

from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request


async def warnings(request: Request, proceed: Next) -> Answer:
    """Put what was added to `request.warnings` into the answer, refusals included."""
    answer = await proceed(request)
    if request.warnings:
        answer.headers["Warning"] = ", ".join(
            '299 - "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for text in dict.fromkeys(request.warnings)
        )
    return answer
