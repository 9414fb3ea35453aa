"""Who we are: the token a user and a password are exchanged for, and its renewal.

A token is fetched before the first request and kept until a member refuses it - it expired, the member restarted and
forgot it, or users and roles changed. The refused request was not executed, so it is sent again with the new token,
whatever it is. Where authentication is off there is no token, and requests go without. Many requests that are refused
together cause one renewal: whoever comes second finds a newer token than the one it was refused with.

Source: the same three refusals lead to a new token in etcd's clientv3 (retry_interceptor.go, `shouldRefreshToken`).
"""

import asyncio

import grpc.aio

from kvstore.client.endpoints import Connection
from kvstore.client.errors import AuthNotEnabled, from_rpc_error
from kvstore.pb import rpc_pb2

Metadata = tuple[tuple[str, str], ...]

# A token refused that often in one request is not refused for its age.
RENEWALS_PER_REQUEST = 2


class Tokens:
    """The token of one user; empty `user`: requests go without."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self._user = user
        self._password = password
        self._token = ""
        self._is_known = not user
        self._lock = asyncio.Lock()

    @property
    def has_user(self) -> bool:
        """True if there is anything to log in with."""
        return bool(self._user)

    @property
    def token(self) -> str:
        """The newest token; empty before the first and while authentication is off."""
        return self._token

    def metadata(self) -> Metadata:
        """What a request carries."""
        return (("token", self._token),) if self._token else ()

    def refuse(self, token: str) -> None:
        """A member did not take `token`; the next `ensure` fetches another unless somebody else has."""
        if self.has_user and token == self._token:
            self._is_known = False

    async def ensure(self, connection: Connection, seconds: float) -> None:
        """Have a token, from `connection` if need be; raises what the call raises, or AuthenticationFailed."""
        if self._is_known:
            return
        async with self._lock:
            if self._is_known:
                return
            self._token = await self._fetch(connection, seconds)
            self._is_known = True

    async def _fetch(self, connection: Connection, seconds: float) -> str:
        request = rpc_pb2.AuthenticateRequest(name=self._user, password=self._password)
        call = connection.unary("Auth/Authenticate", rpc_pb2.AuthenticateResponse)
        try:
            response = await call(request, timeout=seconds)
        except grpc.aio.AioRpcError as cause:
            if isinstance(from_rpc_error(cause), AuthNotEnabled):
                return ""
            raise
        return str(response.token)
