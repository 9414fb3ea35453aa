"""SelfSubjectReview: who the server takes the caller for; `kubectl auth whoami`."""

from controlplane.api import times
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Request, User
from controlplane.apiserver.served import Server


async def own(server: Server, request: Request, review: Obj) -> Obj:
    """The caller, with the time of the answer as that of creation."""
    return {
        "kind": review["kind"],
        "apiVersion": review["apiVersion"],
        "metadata": {"creationTimestamp": times.to_rfc3339(server.clock.time())},
        "status": {"userInfo": user_info(request.user)},
    }


def user_info(user: User) -> Obj:
    """The UserInfo of a user; what is empty is left out."""
    info: Obj = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in sorted(user.extra.items())},
    }
    return {name: value for name, value in info.items() if value}
