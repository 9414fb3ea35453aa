"""Flow control on a whole server in memory: headers, statuses, the objects that are kept, the debug tables."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controlplane.apiserver.bootstrap.flow_control import _ensure
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.filters.fairness import LEVEL_HEADER, SCHEMA_HEADER
from controlplane.apiserver.http.messages import Answer, Response, User
from controlplane.testing.in_process import ADMIN, InProcessRequest, InProcessServer

Obj = dict[str, Any]

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
ALICE = User("alice", ("system:authenticated",))
DEADLINE = 60.0


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    config = ApiServerConfig(authorization_modes=("RBAC",))
    async with InProcessServer(config=config) as made:
        yield made


async def ask(
    server: InProcessServer, method: str, url: str, body: object = None, user: User = ADMIN
) -> Answer:
    headers = {}
    if method == "PATCH":
        headers["content-type"] = "application/merge-patch+json"
    return await server.ask(InProcessRequest.of(method, url, body, user=user, headers=headers))


async def get(server: InProcessServer, url: str) -> Obj:
    answer = await ask(server, "GET", url)
    assert isinstance(answer, Response)
    assert answer.status == 200, answer.body
    found: Obj = json.loads(answer.body)
    return found


async def eventually(server: InProcessServer, url: str, holds: Callable[[Obj], bool]) -> Obj:
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await get(server, url)
            if holds(found):
                return found
            await asyncio.sleep(0.01)


def dangling(obj: Obj) -> str:
    rows = obj.get("status", {}).get("conditions") or [{}]
    return str(rows[0].get("status", ""))


async def test_every_answer_says_of_which_schema_and_level_it_was(server: InProcessServer) -> None:
    schema = await eventually(
        server, f"{GROUP}/flowschemas/global-default", lambda obj: dangling(obj) == "False"
    )
    level = await get(server, f"{GROUP}/prioritylevelconfigurations/global-default")
    wanted = {
        SCHEMA_HEADER: schema["metadata"]["uid"],
        LEVEL_HEADER: level["metadata"]["uid"],
    }
    for url, code in (("/api/v1/namespaces/d/pods", 403), ("/version", 200), ("/nowhere", 403)):
        answer = await ask(server, "GET", url, user=ALICE)
        assert (url, answer.status) == (url, code)
        assert wanted.items() <= answer.headers.items()


async def test_a_schema_without_its_level_is_told_dangling_until_there_is_one(
    server: InProcessServer,
) -> None:
    url = f"{GROUP}/flowschemas/mine"
    schema = {
        "metadata": {"name": "mine"},
        "spec": {
            "priorityLevelConfiguration": {"name": "mine"},
            "matchingPrecedence": 500,
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "alice"}}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        },
    }
    made = await ask(server, "POST", f"{GROUP}/flowschemas", schema)
    assert made.status == 201
    found = await eventually(server, url, lambda obj: dangling(obj) == "True")
    row = found["status"]["conditions"][0]
    assert row["reason"] == "NotFound"
    assert row["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "mine" but there '
        "is no such object"
    )
    level = {
        "metadata": {"name": "mine"},
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    }
    assert (await ask(server, "POST", f"{GROUP}/prioritylevelconfigurations", level)).status == 201
    found = await eventually(server, url, lambda obj: dangling(obj) == "False")
    answer = await ask(server, "GET", "/version", user=ALICE)
    assert answer.headers[SCHEMA_HEADER] == found["metadata"]["uid"]


async def test_the_systems_objects_come_back_and_a_users_word_stays(
    server: InProcessServer,
) -> None:
    levels, schemas = f"{GROUP}/prioritylevelconfigurations", f"{GROUP}/flowschemas"
    assert (await ask(server, "DELETE", f"{schemas}/catch-all")).status == 200
    assert (await ask(server, "DELETE", f"{levels}/system")).status == 200
    shares = {"spec": {"limited": {"nominalConcurrencyShares": 7}}}
    left = {**shares, "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}}
    assert (await ask(server, "PATCH", f"{levels}/workload-low", left)).status == 200
    assert (await ask(server, "PATCH", f"{levels}/workload-high", shares)).status == 200
    former = {
        "metadata": {
            "name": "former",
            "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"},
        },
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    }
    assert (await ask(server, "POST", levels, former)).status == 201
    await server.app.server.caches.wait_current()
    await _ensure(server.app.server)
    await get(server, f"{schemas}/catch-all")
    await get(server, f"{levels}/system")
    kept = await get(server, f"{levels}/workload-high")
    changed = await get(server, f"{levels}/workload-low")
    assert kept["spec"]["limited"]["nominalConcurrencyShares"] == 40
    assert changed["spec"]["limited"]["nominalConcurrencyShares"] == 7
    assert (await ask(server, "GET", f"{levels}/former")).status == 404


async def test_the_debug_tables_show_the_request_that_asks(server: InProcessServer) -> None:
    prefix = "/debug/api_priority_and_fairness"
    answer = await ask(server, "GET", f"{prefix}/dump_requests?includeRequestDetails=1")
    assert isinstance(answer, Response)
    header, row = answer.body.decode().splitlines()
    assert [word.strip() for word in header.split(",")][:3] == [
        *("PriorityLevelName", "FlowSchemaName", "QueueIndex")
    ]
    cells = [word.strip() for word in row.split(",")]
    assert cells[:4] == ["exempt", "exempt", "-1", "-1"]
    assert cells[10:13] == ["admin", "get", f"{prefix}/dump_requests"]
    levels = await ask(server, "GET", f"{prefix}/dump_priority_levels")
    assert isinstance(levels, Response)
    names = [line.split(",")[0] for line in levels.body.decode().splitlines()[1:]]
    assert names == sorted(names)
    assert "workload-low" in names
    assert (await ask(server, "GET", f"{prefix}/dump_queues")).status == 200
    assert (await ask(server, "GET", f"{prefix}/dump_nothing")).status == 404
    assert (await ask(server, "GET", f"{prefix}/dump_queues", user=ALICE)).status == 403


async def test_metrics_have_upstreams_names(server: InProcessServer) -> None:
    await ask(server, "GET", "/version", user=ALICE)
    answer = await ask(server, "GET", "/metrics")
    assert isinstance(answer, Response)
    text = answer.body.decode()
    for line in (
        'apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"} 245.0',
        'apiserver_flowcontrol_dispatched_requests_total{flow_schema="global-default",'
        'priority_level="global-default"} 1.0',
        'apiserver_flowcontrol_request_execution_seconds_count{flow_schema="global-default",'
        'priority_level="global-default",type="regular"} 1.0',
    ):
        assert line in text
