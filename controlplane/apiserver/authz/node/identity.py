"""Which node a user is. Source: pkg/auth/nodeidentifier."""

from controlplane.apiserver.http.messages import User

_PREFIX, _GROUP = "system:node:", "system:nodes"


def node_of(user: User) -> str | None:
    """The node's name; None for users that are no nodes, empty for one without a name."""
    if not user.name.startswith(_PREFIX) or _GROUP not in user.groups:
        return None
    return user.name.removeprefix(_PREFIX)
