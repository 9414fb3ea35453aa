"""Which path is which call: the table of etcd's gateway (its published swagger of 3.5, and 3.5.1's answers).

Every call is a POST with the request as JSON body.
"""

from dataclasses import dataclass
from enum import Enum

from google.protobuf.message import Message

from kvstore.pb import election_pb2, lock_pb2
from kvstore.pb import rpc_pb2 as pb


class Kind(Enum):
    """How a call streams."""

    UNARY = "one request, one response"
    SERVER_STREAM = "one request, many responses"
    BIDI_STREAM = "many requests, many responses"


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `method` is its full gRPC path."""

    method: str
    request: type[Message]
    response: type[Message]
    kind: Kind = Kind.UNARY


def _route(service: str, name: str, kind: Kind = Kind.UNARY) -> Route:
    for module in (pb, lock_pb2, election_pb2):
        found = module.DESCRIPTOR.services_by_name.get(service)
        if found is not None:
            call = found.methods_by_name[name]
            return Route(
                f"/{found.full_name}/{name}",
                call.input_type._concrete_class,
                call.output_type._concrete_class,
                kind,
            )
    raise KeyError(service)


_LEASE_REVOKE = _route("Lease", "LeaseRevoke")
_LEASE_TIME_TO_LIVE = _route("Lease", "LeaseTimeToLive")
_LEASE_LEASES = _route("Lease", "LeaseLeases")

ROUTES: dict[str, Route] = {
    "/v3/kv/range": _route("KV", "Range"),
    "/v3/kv/put": _route("KV", "Put"),
    "/v3/kv/deleterange": _route("KV", "DeleteRange"),
    "/v3/kv/txn": _route("KV", "Txn"),
    "/v3/kv/compaction": _route("KV", "Compact"),
    "/v3/watch": _route("Watch", "Watch", Kind.BIDI_STREAM),
    "/v3/lease/grant": _route("Lease", "LeaseGrant"),
    "/v3/lease/revoke": _LEASE_REVOKE,
    "/v3/kv/lease/revoke": _LEASE_REVOKE,
    "/v3/lease/keepalive": _route("Lease", "LeaseKeepAlive", Kind.BIDI_STREAM),
    "/v3/lease/timetolive": _LEASE_TIME_TO_LIVE,
    "/v3/kv/lease/timetolive": _LEASE_TIME_TO_LIVE,
    "/v3/lease/leases": _LEASE_LEASES,
    "/v3/kv/lease/leases": _LEASE_LEASES,
    "/v3/cluster/member/add": _route("Cluster", "MemberAdd"),
    "/v3/cluster/member/remove": _route("Cluster", "MemberRemove"),
    "/v3/cluster/member/update": _route("Cluster", "MemberUpdate"),
    "/v3/cluster/member/list": _route("Cluster", "MemberList"),
    "/v3/cluster/member/promote": _route("Cluster", "MemberPromote"),
    "/v3/maintenance/alarm": _route("Maintenance", "Alarm"),
    "/v3/maintenance/status": _route("Maintenance", "Status"),
    "/v3/maintenance/defragment": _route("Maintenance", "Defragment"),
    "/v3/maintenance/hash": _route("Maintenance", "Hash"),
    # Beyond 3.5, where it hides behind the path of Hash; 3.6 has it here.
    "/v3/maintenance/hashkv": _route("Maintenance", "HashKV"),
    "/v3/maintenance/snapshot": _route("Maintenance", "Snapshot", Kind.SERVER_STREAM),
    "/v3/maintenance/transfer-leadership": _route("Maintenance", "MoveLeader"),
    "/v3/maintenance/downgrade": _route("Maintenance", "Downgrade"),
    "/v3/auth/enable": _route("Auth", "AuthEnable"),
    "/v3/auth/disable": _route("Auth", "AuthDisable"),
    "/v3/auth/status": _route("Auth", "AuthStatus"),
    "/v3/auth/authenticate": _route("Auth", "Authenticate"),
    "/v3/auth/user/add": _route("Auth", "UserAdd"),
    "/v3/auth/user/get": _route("Auth", "UserGet"),
    "/v3/auth/user/list": _route("Auth", "UserList"),
    "/v3/auth/user/delete": _route("Auth", "UserDelete"),
    "/v3/auth/user/changepw": _route("Auth", "UserChangePassword"),
    "/v3/auth/user/grant": _route("Auth", "UserGrantRole"),
    "/v3/auth/user/revoke": _route("Auth", "UserRevokeRole"),
    "/v3/auth/role/add": _route("Auth", "RoleAdd"),
    "/v3/auth/role/get": _route("Auth", "RoleGet"),
    "/v3/auth/role/list": _route("Auth", "RoleList"),
    "/v3/auth/role/delete": _route("Auth", "RoleDelete"),
    "/v3/auth/role/grant": _route("Auth", "RoleGrantPermission"),
    "/v3/auth/role/revoke": _route("Auth", "RoleRevokePermission"),
    "/v3/lock/lock": _route("Lock", "Lock"),
    "/v3/lock/unlock": _route("Lock", "Unlock"),
    "/v3/election/campaign": _route("Election", "Campaign"),
    "/v3/election/proclaim": _route("Election", "Proclaim"),
    "/v3/election/leader": _route("Election", "Leader"),
    "/v3/election/observe": _route("Election", "Observe", Kind.SERVER_STREAM),
    "/v3/election/resign": _route("Election", "Resign"),
}
"""Calls by path."""
