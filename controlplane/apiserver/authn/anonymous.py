"""Nobody in particular: let in to paths that are open, and nowhere else.

The form of `anonymous.conditions` of an AuthenticationConfiguration: a path is compared whole.
"""

from controlplane.apiserver.http.messages import ANONYMOUS, Request, User

# Probes and version checks come without a credential.
OPEN_PATHS = ("/livez", "/readyz", "/healthz", "/version")


class Anonymous:
    """The last of the ways."""

    def __init__(self, open_paths: tuple[str, ...] | None = OPEN_PATHS) -> None:
        """`None` opens every path, as kube-apiserver's --anonymous-auth=true; what may be done is authorization's."""
        self._open_paths = open_paths

    async def authenticate(self, request: Request) -> User | None:
        """The anonymous user where the path is open to everybody."""
        if self._open_paths is None or is_open(request.path, self._open_paths):
            return ANONYMOUS
        return None


def is_open(path: str, open_paths: tuple[str, ...] = OPEN_PATHS) -> bool:
    """Whether `path` or a path above it is open; single checks stand below the health paths."""
    return any(path == one or path.startswith(one + "/") for one in open_paths)
