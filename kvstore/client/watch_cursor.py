"""Where a watch stands: what to ask for after a loss, and what an answer of the server means. No IO.

The only state is the next revision, moved when a whole batch is there and never before, and the fragments of a
batch that is not whole yet: a loss throws those away, and the resumed watch brings them again. So there is no gap,
because the server begins at that revision, and no repeat, because it lies behind the last one delivered.

`start_revision` 0 means "after now", and now is when the server confirms; from then on it is a number like any other.
"""

import grpc

from kvstore.client import convert
from kvstore.client.errors import (
    ClientError,
    Compacted,
    InvalidToken,
    PermissionDenied,
    UnknownError,
    WatchCancelled,
    from_status,
)
from kvstore.client.ops import key_range
from kvstore.client.types import Event, Key, WatchBatch
from kvstore.pb import rpc_pb2


def watch_request(
    key: Key,
    *,
    range_end: Key = b"",
    prefix: bool = False,
    start_revision: int = 0,
    prev_kv: bool = False,
    progress_notify: bool = False,
    without_puts: bool = False,
    without_deletes: bool = False,
    fragment: bool = False,
) -> rpc_pb2.WatchCreateRequest:
    """A watch as the wire asks for it."""
    start, end = key_range(key, range_end, prefix)
    filters = [rpc_pb2.WatchCreateRequest.NOPUT] if without_puts else []
    filters += [rpc_pb2.WatchCreateRequest.NODELETE] if without_deletes else []
    return rpc_pb2.WatchCreateRequest(
        key=start,
        range_end=end,
        start_revision=start_revision,
        prev_kv=prev_kv,
        progress_notify=progress_notify,
        filters=filters,
        fragment=fragment,
    )


class WatchCursor:
    """One watch's request, and how far its reader has got."""

    def __init__(self, request: rpc_pb2.WatchCreateRequest) -> None:
        self._request = request
        self._fragments: list[Event] = []
        self.next_revision = request.start_revision

    def request(self) -> rpc_pb2.WatchCreateRequest:
        """What to ask for now; fragments of the lost stream are forgotten."""
        self._fragments.clear()
        request = rpc_pb2.WatchCreateRequest()
        request.CopyFrom(self._request)
        request.start_revision = self.next_revision
        return request

    def confirm(self, response: rpc_pb2.WatchResponse, endpoint: str) -> None:
        """The server's answer to the request; raises if it is a refusal."""
        if response.canceled:
            raise cancelled(response, endpoint)
        if self.next_revision <= 0:
            self.next_revision = response.header.revision + 1

    def take(self, response: rpc_pb2.WatchResponse, endpoint: str) -> WatchBatch | None:
        """The batch in `response`, or None if there is nothing for the reader; raises if it ends the watch."""
        if response.canceled:
            raise cancelled(response, endpoint)
        if response.created:
            return None
        events = [*self._fragments, *(convert.event(one) for one in response.events)]
        if response.fragment:
            self._fragments = events
            return None
        self._fragments = []
        batch = WatchBatch(convert.header(response.header), tuple(events))
        if events or response.header.revision >= self.next_revision - 1:
            self.next_revision = max(self.next_revision, batch.revision + 1)
            return batch
        # Progress behind what was delivered says nothing new: a member that lags after a fail-over sends it.
        return None


def may_be_stale_token(error: ClientError) -> bool:
    """True if a new token may open the watch: etcd up to 3.5.8 calls a token it does not know "permission denied"."""
    return isinstance(error, InvalidToken | PermissionDenied)


def cancelled(response: rpc_pb2.WatchResponse, endpoint: str) -> ClientError:
    """Why the server ended a watch."""
    error = _reason(response, endpoint)
    error.header = convert.header(response.header)
    return error


def _reason(response: rpc_pb2.WatchResponse, endpoint: str) -> ClientError:
    if response.compact_revision > 0:
        return Compacted(
            "etcdserver: mvcc: required revision has been compacted",
            compact_revision=response.compact_revision,
            endpoint=endpoint,
        )
    reason = response.cancel_reason
    known = from_status(grpc.StatusCode.UNKNOWN, reason, endpoint=endpoint)
    if not isinstance(known, UnknownError):
        return known
    return WatchCancelled(reason or "the server cancelled the watch", endpoint=endpoint)
