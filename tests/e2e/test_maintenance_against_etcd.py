"""The same maintenance and member calls to a real etcd 3.5 and to a member: the same answers, codes and texts too."""

import os
import subprocess
from pathlib import Path

import grpc
import pytest

from kvstore.pb import rpc_pb2 as pb

pytestmark = pytest.mark.e2e

MEMBER = 0x8E9E05C52164694D
"""The id of every member that is started without --initial-cluster."""


def calls():
    """(method, request, response type), in order: each builds on those before."""

    def alarm(action, member=0, kind=0):
        return (
            "Maintenance/Alarm",
            pb.AlarmRequest(action=action, memberID=member, alarm=kind),
            pb.AlarmResponse,
        )

    def hash_kv(revision):
        return "Maintenance/HashKV", pb.HashKVRequest(revision=revision), pb.HashKVResponse

    put = "KV/Put", pb.PutRequest(key=b"a", value=b"v"), pb.PutResponse
    get = "KV/Range", pb.RangeRequest(key=b"a"), pb.RangeResponse
    delete = "KV/DeleteRange", pb.DeleteRangeRequest(key=b"a"), pb.DeleteRangeResponse
    grant = "Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=7), pb.LeaseGrantResponse
    writes = pb.TxnRequest(success=[pb.RequestOp(request_put=put[1])])
    txn = "KV/Txn", writes, pb.TxnResponse
    compact = "KV/Compact", pb.CompactionRequest(revision=3), pb.CompactionResponse
    yield from (put, put, put, hash_kv(0), hash_kv(2), hash_kv(99), compact, hash_kv(2), hash_kv(0))
    yield "Maintenance/Defragment", pb.DefragmentRequest(), pb.DefragmentResponse
    for target in (0, 99, MEMBER):
        yield "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=target), pb.MoveLeaderResponse
    for action in (0, 1, 2, 7):
        for version in ("3.5.0", "3.6.0", "x", ""):
            request = pb.DowngradeRequest(action=action, version=version)
            yield "Maintenance/Downgrade", request, pb.DowngradeResponse
    yield "Maintenance/Downgrade", pb.DowngradeRequest(version="3.4"), pb.DowngradeResponse
    for kind in (2, 1):
        yield from (alarm(0), alarm(1, MEMBER, kind), alarm(1, MEMBER, kind), alarm(1, MEMBER, 0))
        yield from (alarm(0), alarm(0, 99), alarm(0, 0, 1), alarm(0, 0, 2))
        yield from (put, get, grant, txn, delete)
        yield "Maintenance/Status", pb.StatusRequest(), pb.StatusResponse
        yield from (alarm(2, 0, kind), alarm(2, 99, kind), alarm(2, MEMBER), alarm(2, MEMBER, kind))
        yield from (alarm(2, MEMBER, kind), alarm(0), put)
    for urls in ([], ["foo"], ["http://localhost:2380"]):
        yield "Cluster/MemberAdd", pb.MemberAddRequest(peerURLs=urls), pb.MemberAddResponse
    # No more changes of members: etcd 3.5.1 answers the next one only after a long while.


def answers(address):
    found = []
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        for method, request, response in calls():
            call = channel.unary_unary(
                f"/etcdserverpb.{method}", type(request).SerializeToString, response.FromString
            )
            try:
                answer = call(request, timeout=20)
            except grpc.RpcError as error:
                found.append((method, str(request), error.code(), error.details()))
                continue
            # What must differ: terms, indexes, sizes, our own hash, who listens where.
            answer.ClearField("header") if "header" in answer.DESCRIPTOR.fields_by_name else None
            for name in (
                "version",
                "hash",
                "dbSize",
                "dbSizeInUse",
                "raftIndex",
                "raftTerm",
                "raftAppliedIndex",
            ):
                if name in answer.DESCRIPTOR.fields_by_name and "Downgrade" not in method:
                    answer.ClearField(name)
            found.append((method, str(request), str(answer)))
    return found


def test_maintenance_and_members_answer_as_etcd(programs, member, tmp_path):
    binary = Path(os.environ.get("ETCD35", "/nonexistent")) / "etcd"
    if not binary.exists():
        pytest.skip("needs $ETCD35 with etcd 3.5")
    real, peer, ours, other = (f"http://127.0.0.1:{port}" for port in programs.free_ports(4))

    def flags(client, peers):
        return [
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peers,
        ]  # fmt: skip

    with (tmp_path / "etcd.txt").open("wb") as log:
        etcd = subprocess.Popen(
            [binary, *flags(real, peer), "--data-dir", tmp_path / "etcd"], stderr=log, stdout=log
        )
    try:
        member(*flags(ours, other)).start().ready()
        expected = answers(real.removeprefix("http://"))
        assert answers(ours.removeprefix("http://")) == expected
        assert len(expected) > 60
    finally:
        etcd.kill()
        etcd.wait()
