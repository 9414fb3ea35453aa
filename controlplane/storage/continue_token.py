"""Paging tokens: opaque to clients, base64url of the pinned revision and the next key relative to the list's prefix.

A token made for one list is refused by another: the key must stay below the prefix. Revision -1 stands for a list that
goes on without one revision for all pages, which is what a client asks for that would rather have the rest of an
expired list than none.
"""

import base64
import binascii

import msgspec

from controlplane.storage.errors import BadContinueError

_VERSION = "meta.k8s.io/v1"
# What a token says instead of a revision when its pages may differ in it.
INCONSISTENT = -1


class _Token(msgspec.Struct):
    v: str = ""
    rv: int = 0
    start: str = ""


def encode(prefix: str, next_key: str, revision: int) -> str:
    """The token that goes on at `next_key` (below `prefix`) as of `revision`."""
    if not next_key.startswith(prefix):
        raise BadContinueError("key is outside of the list")
    payload = msgspec.json.encode(_Token(_VERSION, revision, next_key[len(prefix) :]))
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode(token: str, prefix: str) -> tuple[str, int]:
    """(next key, revision) of a token made for `prefix`, or `BadContinueError`."""
    try:
        payload = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = msgspec.json.decode(payload, type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadContinueError(_unreadable(token)) from None
    if content.v != _VERSION:
        raise BadContinueError(f"server does not recognize this encoded version {content.v}")
    if content.rv == 0 or content.rv < INCONSISTENT:
        raise BadContinueError(f"incorrect encoded start resourceVersion (version {_VERSION})")
    if not content.start:
        raise BadContinueError(f"encoded start key empty (version {_VERSION})")
    if ".." in content.start.split("/"):
        raise BadContinueError(content.start)
    return prefix + content.start, content.rv


def _unreadable(token: str) -> str:
    """The original's words: what its JSON decoder says of the first byte."""
    try:
        first = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:1]
    except (binascii.Error, ValueError):
        return f"illegal base64 data at input byte {len(token)}"
    if not first:
        return "unexpected end of JSON input"
    return f"invalid character '{first.decode('latin-1')}' looking for beginning of value"
