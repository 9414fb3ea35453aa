"""What the HTTP face of a member does beyond etcd's words: users, clients that leave, bounds, pages, reflection."""

import gzip
import http.client
import json
import re
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from kvstore.pb import reflection_alpha_pb2, reflection_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.gateway.routes import ROUTES, Kind

WAIT_SECONDS = 60


def until(is_so, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def metrics_of(server):
    """All samples by name and labels."""
    text = server.get("/metrics")[2].decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_every_route_reaches_its_call(ours):
    for path, route in ROUTES.items():
        if route.kind is Kind.BIDI_STREAM or path in ("/v3/lock/lock", "/v3/election/campaign"):
            continue
        if path == "/v3/election/observe":
            continue
        status, _, text = ours.request("POST", path, "{}")
        assert b"unknown method" not in text, path
        # A page of Go's "Not Found" would be no JSON.
        found = json.loads(text.splitlines()[0])
        if status != 200:
            assert set(found) == {"error", "code", "message"}, path


def test_hashkv_has_a_path_of_its_own(ours):
    status, found = ours.post("/v3/maintenance/hashkv", {})
    assert status == 200
    assert found["hash"] > 0


def test_a_member_answers_pages_on_both_ports(ours):
    for port in (ours.port, ours.metrics_port):
        for path in ("/health", "/livez", "/readyz", "/version", "/metrics"):
            assert ours.get(path, port=port)[0] == 200, path
    assert ours.request("POST", "/v3/kv/range", "{}", port=ours.metrics_port)[0] == 404
    version = json.loads(ours.get("/version")[2])
    assert version["etcdserver"].startswith("3.5.")
    assert version["etcdcluster"] == "3.5.0"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/livez", "ok\n"),
        ("/livez?verbose", "[+]serializable_read ok\nok\n"),
        ("/livez/serializable_read", "ok\n"),
        ("/readyz", "ok\n"),
        (
            "/readyz?verbose",
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n",
        ),
        ("/readyz/linearizable_read?verbose", "[+]linearizable_read ok\nok\n"),
        (
            "/readyz?verbose&exclude=data_corruption&exclude=serializable_read",
            "[+]linearizable_read ok\nok\n",
        ),
    ],
)
def test_checks_by_name(ours, path, text):
    status, headers, body = ours.get(path)
    assert (status, body.decode()) == (200, text)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_alarms_make_a_member_unhealthy(ours):
    members = ours.post("/v3/cluster/member/list", {})[1]["members"]
    alarm = {"memberID": members[0]["ID"], "alarm": "CORRUPT"}
    assert ours.post("/v3/maintenance/alarm", {"action": "ACTIVATE", **alarm})[0] == 200
    try:
        status, headers, body = ours.get("/health")
        assert (status, body) == (503, b'{"health":"false","reason":"ALARM CORRUPT"}\n')
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert ours.get("/health?exclude=NOSPACE")[0] == 503
        assert ours.get("/health?exclude=NOSPACE&exclude=CORRUPT")[0] == 200
        assert b"[-]data_corruption failed: alarm activated: CORRUPT" in ours.get("/readyz")[2]
        assert ours.get("/livez")[0] == 200
    finally:
        assert ours.post("/v3/maintenance/alarm", {"action": "DEACTIVATE", **alarm})[0] == 200
    assert ours.get("/health")[0] == 200


def test_users_pass_their_token_through_the_gateway(ours):
    def call(path, body, token=""):
        return ours.post(f"/v3/{path}", body, **({"Authorization": token} if token else {}))

    for path, body in (
        ("auth/user/add", {"name": "root", "password": "r"}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/role/add", {"name": "few"}),
        ("auth/role/grant", {"name": "few", "perm": {"permType": "READWRITE", "key": "bWluZQ=="}}),
        ("auth/user/add", {"name": "u", "password": "p"}),
        ("auth/user/grant", {"user": "u", "role": "few"}),
    ):
        status, found = call(path, body)
        assert status == 200 or "already exists" in found["error"], (path, found)
    assert call("auth/enable", {})[0] == 200
    root = call("auth/authenticate", {"name": "root", "password": "r"})[1]["token"]
    try:
        token = call("auth/authenticate", {"name": "u", "password": "p"})[1]["token"]
        assert call("kv/put", {"key": "bWluZQ=="}, token)[0] == 200
        assert call("kv/put", {"key": "eW91cnM="}, token) == (
            403,
            {
                "error": "etcdserver: permission denied",
                "code": 7,
                "message": "etcdserver: permission denied",
            },
        )
        assert call("kv/put", {"key": "bWluZQ=="})[1]["error"] == "etcdserver: user name is empty"
        assert call("kv/put", {"key": "bWluZQ=="}, "nonsense")[0] == 401
        status, found = ours.post(
            "/v3/kv/put", {"key": "bWluZQ=="}, **{"Grpc-Metadata-Token": token}
        )
        assert status == 200, found
        # A lock is made of keys, so it needs their permissions; the code is lost, as in etcd.
        assert call("lock/lock", {"name": "eW91cnM="}, token) == (
            500,
            {
                "error": "etcdserver: permission denied",
                "code": 2,
                "message": "etcdserver: permission denied",
            },
        )
        refused = call("election/leader", {"name": "eW91cnM="}, token)
        assert refused[1]["error"] == "etcdserver: permission denied"
        watch = ours.request(
            "POST",
            "/v3/watch",
            '{"create_request":{"key":"eW91cnM="}}',
            {"Authorization": token},
            timeout=0.3,
        )
        assert b"permission denied" in watch[2]
        # A waiting lock of somebody who leaves is withdrawn with that caller's credentials.
        assert call("lock/lock", {"name": "cg=="}, root)[0] == 200
        late = ours.post(
            "/v3/lock/lock", {"name": "cg=="}, Authorization=root, **{"Grpc-Timeout": "100m"}
        )
        assert late[0] == 504
        prefix = {"key": "ci8=", "range_end": "cjA=", "count_only": True}
        until(lambda: call("kv/range", prefix, root)[1]["count"] == "1", "the wait is withdrawn")
    finally:
        assert call("auth/disable", {}, root)[0] == 200


def test_a_client_that_leaves_ends_its_watch_and_its_wait(ours):
    watching = "etcd_debugging_mvcc_watcher_total"
    before = metrics_of(ours)[watching]
    connections = []
    for path, body in (
        ("/v3/watch", '{"create_request":{"key":"Z29uZQ=="}}'),
        ("/v3/election/observe", '{"name":"Z29uZQ=="}'),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=5)
        connection.request("POST", path, body)
        connections.append(connection)
    until(lambda: metrics_of(ours)[watching] == before + 2, "both watch")
    ours.post("/v3/lock/lock", {"name": "cXVldWU="})
    waiting = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=5)
    waiting.request("POST", "/v3/lock/lock", '{"name":"cXVldWU="}')
    prefix = {"key": "cXVldWUv", "range_end": "cXVldWUw"}
    until(lambda: ours.post("/v3/kv/range", prefix)[1]["count"] == "2", "the second waits")
    for one in (*connections, waiting):
        one.close()
    until(lambda: ours.post("/v3/kv/range", prefix)[1]["count"] == "1", "its place is free")
    until(lambda: metrics_of(ours)[watching] == before, "nobody watches")


def test_a_body_is_read_only_so_far(ours):
    text = '{"key":"YQ==","nothing":"' + "x" * 5_000_000 + '"}'
    status, found = ours.post("/v3/kv/range", text)
    assert status == 429
    assert found["code"] == 8


def test_a_packed_body_is_not_unpacked(ours):
    packed = gzip.compress(b'{"key":"YQ==","value":"' + b"A" * 1_000_000 + b'"}')
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=WAIT_SECONDS)
    try:
        connection.request("POST", "/v3/kv/put", packed, {"Content-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.status == 400
        # As Go's server, which takes bodies as they come.
        assert json.load(answer)["error"].startswith("invalid character '\\x1f' looking for")
    finally:
        connection.close()


def test_calls_are_counted_under_etcds_names(ours):
    def value(name, method, service="etcdserverpb.KV", **labels):
        shown = {"grpc_method": method, "grpc_service": service, "grpc_type": "unary", **labels}
        inside = ",".join(f'{key}="{labels}"' for key, labels in shown.items())
        return metrics_of(ours).get(f"{name}{{{inside}}}", 0)

    started = value("grpc_server_started_total", "Range")
    handled = value("grpc_server_handled_total", "Range", grpc_code="OK")
    refused = value("grpc_server_handled_total", "Range", grpc_code="InvalidArgument")
    ours.channel.unary_unary("/etcdserverpb.KV/Range")(
        pb.RangeRequest(key=b"a").SerializeToString(), timeout=5
    )
    ours.post("/v3/kv/range", {"key": "YQ=="})
    ours.post("/v3/kv/range", {})
    assert value("grpc_server_started_total", "Range") == started + 3
    assert value("grpc_server_handled_total", "Range", grpc_code="OK") == handled + 2
    assert value("grpc_server_handled_total", "Range", grpc_code="InvalidArgument") == refused + 1
    found = metrics_of(ours)
    health = found["etcd_server_health_success"]
    ours.get("/health")
    assert metrics_of(ours)["etcd_server_health_success"] == health + 1
    for name in (
        "etcd_server_has_leader",
        "etcd_server_is_leader",
        "etcd_server_health_failures",
        "etcd_server_proposals_committed_total",
        "etcd_network_client_grpc_received_bytes_total",
        "etcd_network_client_grpc_sent_bytes_total",
        "etcd_mvcc_db_total_size_in_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "os_fd_used",
        "os_fd_limit",
    ):
        assert name in found, name
    assert found["etcd_network_client_grpc_sent_bytes_total"] > 0


def test_metrics_have_the_types_of_etcds(ours, etcd):
    """A name that both have is the same kind of metric, and has the same labels."""
    mine, theirs = (types_of(one) for one in (ours, etcd))
    shared = mine.keys() & theirs.keys()
    assert len(shared) > 30
    assert {name: mine[name] for name in shared} == {name: theirs[name] for name in shared}
    for name in shared:
        labels = [label_names(server, name) for server in (ours, etcd)]
        assert not all(labels) or labels[0] == labels[1], name


def types_of(server):
    text = server.get("/metrics")[2].decode()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def label_names(server, name):
    text = server.get("/metrics")[2].decode()
    found = re.findall(rf"^{name}(?:{{(.*)}})? ", text, re.MULTILINE)
    return {tuple(sorted(re.findall(r'(\w+)="', one))) for one in found}


@pytest.mark.parametrize("module", [reflection_pb2, reflection_alpha_pb2], ids=["v1", "v1alpha"])
def test_reflection_tells_all_that_is_served(ours, module):
    service = module.DESCRIPTOR.services_by_name["ServerReflection"].full_name
    stream = ours.channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        module.ServerReflectionRequest.SerializeToString,
        module.ServerReflectionResponse.FromString,
    )

    def ask(*requests):
        return list(
            stream(iter([module.ServerReflectionRequest(**one) for one in requests]), timeout=5)
        )

    (listed,) = ask({"list_services": "*"})
    names = {one.name for one in listed.list_services_response.service}
    assert names == {
        "etcdserverpb.Auth",
        "etcdserverpb.Cluster",
        "etcdserverpb.KV",
        "etcdserverpb.Lease",
        "etcdserverpb.Maintenance",
        "etcdserverpb.Watch",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "v3electionpb.Election",
        "v3lockpb.Lock",
    }
    # As grpcurl does: learn a service, then its messages, from nothing.
    for name in sorted(names):
        (answer,) = ask({"file_containing_symbol": name})
        pool = descriptor_pool.DescriptorPool()
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(data)
            for data in answer.file_descriptor_response.file_descriptor_proto
        ]
        for file in reversed(files):
            pool.Add(file)
        for method in pool.FindServiceByName(name).methods:
            assert method.input_type.full_name
            assert method.output_type.full_name
    by_name, symbol, missing, extension, none = ask(
        {"file_by_filename": files[0].name, "host": "h"},
        {"file_containing_symbol": "etcdserverpb.RangeRequest.key"},
        {"file_containing_symbol": "no.such.Thing"},
        {"all_extension_numbers_of_type": "etcdserverpb.RangeRequest"},
        {"file_by_filename": "none.proto"},
    )
    assert by_name.valid_host == "h"
    assert by_name.file_descriptor_response.file_descriptor_proto
    assert symbol.file_descriptor_response.file_descriptor_proto
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert extension.all_extension_numbers_response.base_type_name == "etcdserverpb.RangeRequest"
    assert none.error_response.error_message == "File not found: none.proto"


def test_open_streams_do_not_hold_up_the_end(run_ours):
    server = run_ours("--cors=http://friend,http://other")
    server.post("/v3/lock/lock", {"name": "bA=="})
    open_ones = []
    for path, body in (
        ("/v3/watch", '{"create_request":{"key":"YQ=="}}'),
        ("/v3/election/observe", '{"name":"ZQ=="}'),
        ("/v3/lock/lock", '{"name":"bA=="}'),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("POST", path, body)
        open_ones.append(connection)
    until(lambda: metrics_of(server)["etcd_debugging_mvcc_watcher_total"] == 3, "all wait")
    # Only the named origins are let in.
    allowed = "Access-Control-Allow-Origin"
    assert allowed not in server.get("/version")[1]
    found = server.request("GET", "/version", None, {"Origin": "http://friend"})[1]
    assert found[allowed] == "http://friend"
    assert allowed not in server.request("GET", "/version", None, {"Origin": "http://foe"})[1]
    started = time.monotonic()
    server.stop()
    assert server.process.returncode == 0
    assert time.monotonic() - started < 4
    assert "Traceback" not in server.log.read_text()
    for one in open_ones:
        one.close()


def test_the_gateway_can_be_off(run_ours):
    server = run_ours("--enable-grpc-gateway=false")
    assert server.request("POST", "/v3/kv/range", '{"key":"YQ=="}')[0] == 404
    assert server.get("/health")[0] == 200
