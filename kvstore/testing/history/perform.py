"""Requests of a history carried out by the store's client, and what it answers as records of a history."""

from typing import Any

from kvstore.client import types as answers
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.testing.history import records


async def perform(client: Client, request: records.Request) -> records.Outcome:
    """Carry out `request`: what became of it. TypeError for a request that is none of the client's."""
    try:
        answer = await _call(client, request)
    except ClientError as error:
        kind = type(error).__name__
        if error.outcome_known:
            return records.Failed(kind, str(error))
        return records.Unknown(kind, str(error))
    header = answer.header
    return records.Ok(header.revision, reply_of(answer), header.member_id, header.raft_term)


async def _call(client: Client, request: records.Request) -> Any:
    match request:
        case records.Put():
            return await client.put(
                request.key,
                request.value,
                lease=request.lease,
                prev_kv=request.prev_kv,
                ignore_value=request.ignore_value,
                ignore_lease=request.ignore_lease,
            )
        case records.Range():
            return await client.range(_range(request))
        case records.DeleteRange():
            return await client.delete(
                request.key, range_end=request.range_end, prev_kv=request.prev_kv
            )
        case records.Txn():
            op = _txn(request)
            return await client.txn(op.compares, op.success, op.failure)
        case records.Compact():
            return await client.compact(request.revision, physical=request.physical)
        case records.LeaseGrant():
            return await client.lease_grant(request.ttl, lease_id=request.id)
        case records.LeaseRevoke():
            return await client.lease_revoke(request.id)
        case records.LeaseKeepAlive():
            return await client.lease_keep_alive(request.id)
        case records.LeaseTimeToLive():
            return await client.lease_time_to_live(request.id, with_keys=request.keys)
        case records.LeaseLeases():
            return await client.lease_list()
        case _:
            raise TypeError(f"no request of the client's: {request!r}")


def _range(request: records.Range) -> answers.OpGet:
    return answers.OpGet(
        request.key,
        request.range_end,
        limit=request.limit,
        revision=request.revision,
        keys_only=request.keys_only,
        count_only=request.count_only,
        serializable=request.serializable,
        sort_order=answers.SortOrder(request.sort_order),
        sort_target=answers.SortTarget(request.sort_target),
        min_mod_revision=request.min_mod_revision,
        max_mod_revision=request.max_mod_revision,
        min_create_revision=request.min_create_revision,
        max_create_revision=request.max_create_revision,
    )


def _txn(request: records.Txn) -> answers.OpTxn:
    return answers.OpTxn(
        tuple(_compare(one) for one in request.compares),
        tuple(_op(one) for one in request.success),
        tuple(_op(one) for one in request.failure),
    )


def _op(request: records.Op) -> answers.Op:
    match request:
        case records.Range():
            return _range(request)
        case records.Txn():
            return _txn(request)
        case records.DeleteRange():
            return answers.OpDelete(request.key, request.range_end, request.prev_kv)
    return answers.OpPut(
        request.key,
        request.value,
        request.lease,
        request.prev_kv,
        request.ignore_value,
        request.ignore_lease,
    )


def _compare(compare: records.Compare) -> answers.Compare:
    operand = compare.value if compare.target == "value" else compare.number
    return answers.Compare(
        compare.key, compare.target, compare.operator, operand, compare.range_end
    )


def key_value(kv: answers.KeyValue) -> records.KeyValue:
    """A key-value of the client as a record."""
    return records.KeyValue(
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )


def watch_event(event: answers.Event) -> records.WatchEvent:
    """An event of the client as a record."""
    prev = None if event.prev_kv is None else key_value(event.prev_kv)
    return records.WatchEvent(event.type, key_value(event.kv), prev)


def reply_of(answer: Any) -> Any:
    """An answer of the client as a record."""
    match answer:
        case answers.PutResult():
            return records.PutReply(None if answer.prev_kv is None else key_value(answer.prev_kv))
        case answers.RangeResult():
            return records.RangeReply(
                tuple(key_value(kv) for kv in answer.kvs), answer.count, answer.more
            )
        case answers.DeleteResult():
            return records.DeleteReply(
                answer.deleted, tuple(key_value(kv) for kv in answer.prev_kvs)
            )
        case answers.TxnResult():
            return records.TxnReply(
                answer.succeeded, tuple(reply_of(one) for one in answer.responses)
            )
        case answers.LeaseGrant() | answers.LeaseAlive():
            return records.LeaseReply(answer.id, answer.ttl)
        case answers.LeaseInfo():
            return records.LeaseReply(answer.id, answer.ttl, answer.granted_ttl, answer.keys)
        case answers.LeaseIds():
            return records.LeasesReply(answer.ids)
        case _:
            return records.EmptyReply()
