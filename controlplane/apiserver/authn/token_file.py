"""A file of tokens: one a line as CSV - token, user, uid, and groups in one quoted column.

Source: apiserver/pkg/authentication/token/tokenfile.
"""

import csv
import hmac
import io

from controlplane.apiserver.authn.bearer import Known
from controlplane.apiserver.http.messages import User


class TokenFileAuthenticator:
    """The tokens of a file."""

    def __init__(self, text: str) -> None:
        """`ValueError` for a line that is none."""
        self._users: list[tuple[bytes, User]] = []
        for number, row in enumerate(csv.reader(io.StringIO(text), skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3 or not row[0]:
                raise ValueError(f"line {number}: token, user and uid are wanted, in this order")
            groups = tuple(one.strip() for one in row[3].split(",")) if len(row) > 3 else ()
            user = User(row[1], tuple(one for one in groups if one), row[2])
            self._users.append((row[0].encode(), user))

    async def authenticate(self, token: str, audiences: tuple[str, ...]) -> Known | None:
        """See `TokenAuthenticator.authenticate`; in the same time whichever token it is."""
        del audiences
        given, found = token.encode(), None
        for known, user in self._users:
            if hmac.compare_digest(known, given):
                found = Known(user)
        return found
