"""Two of three members frozen: what the last one answers, beside a real etcd in the same state.

Whatever needs the others times out with etcd's code and words, serializable reads go on, and our client says of a
write that its outcome is not known.
"""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from cli.bench_cluster import OURS, StoreCluster
from kvstore.client.client import Client
from kvstore.client.errors import ServerTimedOut
from kvstore.pb import rpc_pb2 as pb

pytestmark = pytest.mark.e2e

FLAGS = ("--heartbeat-interval=100", "--election-timeout=1500")


def etcd() -> str | None:
    folder = os.environ.get("ETCD35")
    return str(Path(folder) / "etcd") if folder else shutil.which("etcd")


def calls() -> list[tuple[str, Any, Any]]:
    put = pb.PutRequest(key=b"b", value=b"1")
    get = pb.RangeRequest(key=b"a")
    local = pb.RangeRequest(key=b"a", serializable=True)
    return [
        ("KV/Put", put, pb.PutResponse),
        ("KV/Range", get, pb.RangeResponse),
        ("KV/Range", local, pb.RangeResponse),
        ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"b"), pb.DeleteRangeResponse),
        ("KV/Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=put)]), pb.TxnResponse),
        ("KV/Txn", pb.TxnRequest(success=[pb.RequestOp(request_range=get)]), pb.TxnResponse),
        ("KV/Txn", pb.TxnRequest(success=[pb.RequestOp(request_range=local)]), pb.TxnResponse),
        ("KV/Compact", pb.CompactionRequest(revision=2), pb.CompactionResponse),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100), pb.LeaseGrantResponse),
        ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=7), pb.LeaseRevokeResponse),
        ("Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse),
    ]


async def answers(cluster: StoreCluster) -> list[Any]:
    """The answers of the member that is left; asked at once, since each takes its time."""
    last = cluster.members[2]
    address = last.client_url.removeprefix("http://")
    async with grpc.aio.insecure_channel(address) as channel:

        async def ask(name: str, request: Any, response: Any) -> Any:
            method = channel.unary_unary(
                f"/etcdserverpb.{name}", type(request).SerializeToString, response.FromString
            )
            try:
                answer = await method(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                return name, error.code(), error.details()
            if isinstance(answer, pb.TxnResponse):
                answer = answer.responses[0].response_range
            kvs = answer.kvs if isinstance(answer, pb.RangeResponse) else []
            return name, [(kv.key, kv.value, kv.mod_revision) for kv in kvs]

        return list(await asyncio.gather(*(ask(*one) for one in calls())))


async def make_ready(cluster: StoreCluster) -> None:
    """With a key and a lease, and one that follows as the last of its members."""
    async with cluster.client(timeout_seconds=20.0) as client:
        await client.put(b"a", b"1")
        await client.lease_grant(1000, lease_id=7)
    leader = await cluster.leader()
    if leader is cluster.members[2]:
        cluster.members[2], cluster.members[0] = cluster.members[0], cluster.members[2]
    async with Client([cluster.members[2].client_url], timeout_seconds=20.0) as last:
        assert (await last.get(b"a")).kvs


async def test_without_a_quorum_the_last_member_answers_as_etcd(tmp_path: Path) -> None:
    program = etcd()
    if program is None:
        pytest.skip("needs etcd")
    async with (
        StoreCluster((program,), tmp_path / "theirs", flags=FLAGS) as theirs,
        StoreCluster(OURS, tmp_path / "ours", flags=FLAGS) as ours,
    ):
        await asyncio.gather(make_ready(theirs), make_ready(ours))
        for member in (*theirs.members[:2], *ours.members[:2]):
            member.signal(signal.SIGSTOP)
        async with Client([ours.members[2].client_url], timeout_seconds=20.0) as client:
            writing = asyncio.ensure_future(client.put(b"c", b"1"))
            mine, original = await asyncio.gather(answers(ours), answers(theirs))
            assert mine == original
            with pytest.raises(ServerTimedOut) as refused:
                await writing
            assert not refused.value.outcome_known
            kept = await client.get(b"a", serializable=True)
            assert kept.kvs[0].value == b"1"
