"""SelfSubjectReview: who the server takes the caller for; `kubectl auth whoami`."""

from controlplane.api import times
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.served import Server


async def own(server: Server, request: Request, review: Obj) -> Obj:
    """The caller, with the time of the answer as that of creation."""
    return {
        "kind": review["kind"],
        "apiVersion": review["apiVersion"],
        "metadata": {"creationTimestamp": times.to_rfc3339(server.clock.time())},
        "status": {"userInfo": request.user.info()},
    }
