"""Sentences about requests, answers and key-values."""

from kvstore.testing.history.records import (
    Compact,
    DeleteRange,
    DeleteReply,
    KeyValue,
    LeaseRevoke,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    Txn,
    TxnReply,
)

_MOST = 60


def text(data: bytes) -> str:
    """A key or value for reading, cut if it is long."""
    shown = data.decode("utf-8", "backslashreplace")
    return shown if len(shown) <= _MOST else f"{shown[:_MOST]}… ({len(data)} bytes)"


def name(operation: Operation) -> str:
    """An operation by what it asked, its number and its client."""
    return f"{asked(operation.request)} (#{operation.id} of {operation.client})"


def asked(request: object) -> str:
    """A request in a few words."""
    if isinstance(request, Put):
        lease = f" lease {request.lease:x}" if request.lease else ""
        return f"put {text(request.key)}={text(request.value)}{lease}"
    if isinstance(request, Range):
        at = f" at revision {request.revision}" if request.revision else ""
        return f"range {_span(request.key, request.range_end)}{at}"
    if isinstance(request, DeleteRange):
        return f"delete {_span(request.key, request.range_end)}"
    if isinstance(request, LeaseRevoke):
        return f"revoke of lease {request.id:x}"
    if isinstance(request, Compact):
        return f"compaction to {request.revision}"
    if isinstance(request, Txn):
        inner = "; ".join(asked(one) for one in request.success)
        other = "; ".join(asked(one) for one in request.failure)
        return f"txn [{inner}]" + (f" else [{other}]" if other else "")
    return type(request).__name__


def _span(key: bytes, range_end: bytes) -> str:
    if not range_end:
        return text(key)
    return f"[{text(key)}, {text(range_end)})"


def found(kv: KeyValue | None) -> str:
    """A key-value with what tells it from others."""
    if kv is None:
        return "nothing"
    lease = f", lease {kv.lease:x}" if kv.lease else ""
    return (
        f"{text(kv.key)}={text(kv.value)} (created {kv.create_revision}, "
        f"modified {kv.mod_revision}, version {kv.version}{lease})"
    )


def answered(reply: object) -> str:
    """An answer in a few words."""
    if isinstance(reply, str):
        return reply
    if isinstance(reply, RangeReply):
        kvs = ", ".join(found(kv) for kv in reply.kvs[:5])
        more = f", and {len(reply.kvs) - 5} more" if len(reply.kvs) > 5 else ""
        return f"[{kvs}{more}] count {reply.count}" + (" more" if reply.more else "")
    if isinstance(reply, PutReply):
        return f"done, before: {found(reply.prev_kv)}" if reply.prev_kv else "done"
    if isinstance(reply, DeleteReply):
        before = f" [{', '.join(found(kv) for kv in reply.prev_kvs[:5])}]" if reply.prev_kvs else ""
        return f"{reply.deleted} deleted{before}"
    if isinstance(reply, TxnReply):
        branch = "succeeded" if reply.succeeded else "else-branch"
        return f"{branch} [{'; '.join(answered(one) for one in reply.responses)}]"
    return type(reply).__name__
