"""What a filter is: it answers a request itself, or asks the next one and may change what comes back."""

from collections.abc import Awaitable, Callable

from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import Answer, Request

Next = Callable[[Request], Awaitable[Answer]]
Filter = Callable[[Request, Next], Awaitable[Answer]]

_LONG_SUBRESOURCES = ("log", "exec", "attach", "portforward", "proxy")


def is_long(info: RequestInfo) -> bool:
    """Whether a request may last: watches, logs, streams. They have no deadline and take no seat for their time."""
    return info.verb == "watch" or info.subresource in _LONG_SUBRESOURCES


def is_passed_on(info: RequestInfo) -> bool:
    """Whether a pod, a Service or a node answers, by this server's proxy."""
    return info.is_resource and info.group == "" and info.subresource == "proxy"
