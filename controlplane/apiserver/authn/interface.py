"""What an authenticator is: a credential of a request -> a user, or no opinion, or a refusal."""

from typing import Protocol

from controlplane.apiserver.http.messages import Request, User


class Authenticator(Protocol):
    """One way to show who asks."""

    async def authenticate(self, request: Request) -> User | None:
        """The user; None when the request carries no credential of this sort.

        `errors.Unauthorized` for a credential of this sort that does not hold.
        """
        ...
