"""Paging tokens: opaque to clients, base64url of the pinned revision and the next key relative to the list's prefix.

A token made for one list is refused by another: the key must stay below the prefix.
"""

import base64
import binascii

import msgspec

from controlplane.storage.errors import BadContinueError


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


def encode(prefix: str, next_key: str, revision: int) -> str:
    """The token that goes on at `next_key` (below `prefix`) as of `revision`."""
    if not next_key.startswith(prefix):
        raise BadContinueError("key is outside of the list")
    payload = msgspec.json.encode(_Token("meta.k8s.io/v1", revision, next_key[len(prefix) :]))
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode(token: str, prefix: str) -> tuple[str, int]:
    """(next key, revision) of a token made for `prefix`, or `BadContinueError`."""
    try:
        payload = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = msgspec.json.decode(payload, type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadContinueError(str(error)) from error
    if content.v != "meta.k8s.io/v1" or content.rv <= 0 or not content.start:
        raise BadContinueError("server does not recognize this encoded version or its content")
    if ".." in content.start.split("/"):
        raise BadContinueError("path leads outside of the list")
    return prefix + content.start, content.rv
