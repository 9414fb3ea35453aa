"""Whether this process may use gRPC: not if it was forked while a channel was open in its parent.

gRPC's asyncio side has one thread for all channels of a process. A fork does not copy it, and the child's copy of the
library takes it for running: calls there would wait for ever, and their deadlines with them (grpc issue 13464). What is
forked while all channels are closed is well, as is a process that was spawned.
"""

import os
import weakref
from typing import Any

from kvstore.client.errors import ClientClosed

_open: "weakref.WeakSet[Any]" = weakref.WeakSet()
_was_forked_open = False
_is_watching = False


def note_channel(channel: Any) -> None:
    """A channel was opened; it counts until it is gone."""
    global _is_watching
    if not _is_watching:
        _is_watching = True
        os.register_at_fork(after_in_child=_note_fork)
    _open.add(channel)


def check() -> None:
    """Raise ClientClosed in a process where no call would ever end."""
    if _was_forked_open:
        raise ClientClosed(
            "this process was forked while a client was open in its parent, and gRPC does not work after that: close "
            "all clients before the fork and open others after it, or start processes by spawn or forkserver"
        )


def _note_fork() -> None:
    global _was_forked_open
    _was_forked_open = _was_forked_open or bool(_open)
