"""Warning headers: what handlers have to say beside their answer, each text once (RFC 7234, code 299).

All together they are bounded: when they grow beyond 4,096 characters, each is cut to 256, and those that come when that
many are written are left out. Sources: apiserver/pkg/endpoints/filters/warning.go, apimachinery/pkg/util/net/http.go.
"""

import unicodedata
from collections.abc import Iterable

from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request

_MOST, _MOST_EACH = 4 * 1024, 256


async def warnings(request: Request, proceed: Next) -> Answer:
    """Put what was added to `request.warnings` into the answer, refusals included."""
    answer = await proceed(request)
    texts = bounded(request.warnings)
    if texts:
        answer.headers["Warning"] = ", ".join(
            '299 - "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts
        )
    return answer


def bounded(texts: Iterable[str]) -> list[str]:
    """The texts to send: once each, without those that no header can carry, and not too many."""
    usable = [text for text in dict.fromkeys(texts) if text and not _has_control(text)]
    if sum(map(len, usable)) <= _MOST:
        return usable
    kept: list[str] = []
    written = 0
    for text in usable:
        if written >= _MOST:
            break
        kept.append(text[:_MOST_EACH])
        written += len(kept[-1])
    return kept


def _has_control(text: str) -> bool:
    return any(unicodedata.category(letter) == "Cc" for letter in text)
