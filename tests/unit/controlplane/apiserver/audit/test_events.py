"""Whole requests and what is written of them: users, stages, bodies by level, refusals, faults."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.audit.event import source_addresses
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import ANONYMOUS, Answer, StreamResponse, User
from controlplane.testing.in_process import ADMIN, InProcessRequest, InProcessServer

Obj = dict[str, Any]

SECRETS = "/api/v1/namespaces/default/secrets"
ALICE = User("alice", ("dev",))
SECRET = {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


class Faulty:
    """An admission plugin that fails on one name."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        return operation == "CREATE" and resource.kind == "Secret"

    async def admit(self, attributes: Attributes) -> None:
        if attributes.name == "faulty":
            attributes.annotations["faulty.example/seen"] = "yes"
            raise KeyError("hunter2")


class Audited:
    """A server with an audit log."""

    def __init__(self, folder: Path, rules: str, **config: Any) -> None:
        policy = folder / "policy.yaml"
        policy.write_text(HEAD + rules)
        self.log = folder / "audit.log"
        config.setdefault("authorization_modes", ("RBAC",))
        self.server = InProcessServer(
            config=ApiServerConfig(
                audit_policy_file=str(policy), audit_log_path=str(self.log), **config
            )
        )

    async def __aenter__(self) -> "Audited":
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *what: Any) -> None:
        await self.server.__aexit__(*what)

    async def ask(
        self, method: str, url: str, body: object = None, user: User = ADMIN, **headers: str
    ) -> Answer:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.server.ask(
            InProcessRequest.of(method, url, body, user=user, headers=named)
        )

    def events(self) -> list[Obj]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


ALL = "rules: [{level: %s}]\n"


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[Audited]:
    async with Audited(tmp_path, ALL % "Metadata") as audited:
        yield audited


async def test_an_event_says_who_did_what_and_what_came_of_it(metadata: Audited) -> None:
    answer = await metadata.ask("POST", SECRETS + "?fieldManager=m", SECRET, user_agent="kubectl/1")
    received, complete = metadata.events()
    assert list(complete) == [
        *("kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user"),
        *("sourceIPs", "userAgent", "objectRef", "responseStatus"),
        *("requestReceivedTimestamp", "stageTimestamp", "annotations"),
    ]
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert complete["auditID"] == received["auditID"] == answer.headers["Audit-Id"]
    assert complete["requestURI"] == SECRETS + "?fieldManager=m"
    assert complete["verb"] == "create"
    assert complete["user"] == {
        "username": "admin",
        "groups": ["system:masters", "system:authenticated"],
        **({"extra": complete["user"]["extra"]} if "extra" in complete["user"] else {}),
    }
    assert complete["sourceIPs"] == ["127.0.0.1"]
    assert complete["objectRef"] == {
        "resource": "secrets",
        "namespace": "default",
        "name": "s",
        "apiVersion": "v1",
    }
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert "hunter2" not in metadata.log.read_text()


async def test_a_refusal_is_written_with_its_reason(metadata: Audited) -> None:
    await metadata.ask("GET", f"{SECRETS}/s", user=ALICE)
    complete = metadata.events()[-1]
    assert complete["user"]["username"] == "alice"
    assert complete["responseStatus"]["code"] == 403
    assert complete["responseStatus"]["reason"] == "Forbidden"
    assert complete["responseStatus"]["status"] == "Failure"
    assert complete["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_both_users_of_an_impersonation_are_written(metadata: Audited) -> None:
    await metadata.ask("GET", f"{SECRETS}/s", impersonate_user="bob")
    complete = metadata.events()[-1]
    assert complete["user"]["username"] == "admin"
    assert complete["impersonatedUser"]["username"] == "bob"
    assert complete["responseStatus"]["code"] == 403


async def test_a_credential_that_does_not_hold_is_written(metadata: Audited) -> None:
    answer = await metadata.ask(
        "GET", f"{SECRETS}/s", user=ANONYMOUS, authorization="Bearer forged.token.of-mine"
    )
    assert answer.status == 401
    (started,) = metadata.events()
    assert started["stage"] == "ResponseStarted"
    assert started["user"] == {}
    assert started["responseStatus"] == {
        "metadata": {},
        "message": "Authentication failed, attempted: bearer",
        "code": 401,
    }
    assert "forged" not in metadata.log.read_text()


async def test_a_watch_is_written_when_it_begins_and_when_it_ends(metadata: Audited) -> None:
    answer = await metadata.ask("GET", f"{SECRETS}?watch=true")
    assert isinstance(answer, StreamResponse)
    await anext(answer.chunks)
    stages = [event["stage"] for event in metadata.events()]
    assert stages == ["RequestReceived", "ResponseStarted"]
    await answer.chunks.aclose()  # type: ignore[attr-defined]
    assert metadata.events()[-1]["stage"] == "ResponseComplete"
    assert metadata.events()[-1]["responseStatus"] == {"metadata": {}, "code": 200}


async def test_a_fault_of_the_server_is_a_panic_and_tells_no_secret(tmp_path: Path) -> None:
    audited = Audited(tmp_path, ALL % "Metadata")
    audited.server = InProcessServer(
        config=audited.server.app.server.config, more_plugins=[Faulty()]
    )
    async with audited:
        secret = {**SECRET, "metadata": {"name": "faulty"}}
        assert (await audited.ask("POST", SECRETS, secret)).status == 500
        panic = audited.events()[-1]
        assert panic["stage"] == "Panic"
        assert panic["responseStatus"]["code"] == 500
        assert panic["annotations"]["faulty.example/seen"] == "yes"
        assert "hunter2" not in audited.log.read_text()


@pytest.mark.parametrize(
    ("level", "objects"),
    [
        ("Metadata", []),
        ("Request", ["requestObject"]),
        ("RequestResponse", ["requestObject", "responseObject"]),
    ],
)
async def test_bodies_by_level(tmp_path: Path, level: str, objects: list[str]) -> None:
    async with Audited(tmp_path, ALL % level) as audited:
        await audited.ask("POST", SECRETS, SECRET)
        patch = {"data": {"password": None}}
        await audited.ask(
            "PATCH", f"{SECRETS}/s", patch, content_type="application/merge-patch+json"
        )
        await audited.ask("DELETE", f"{SECRETS}/s")
        events = [one for one in audited.events() if one["stage"] == "ResponseComplete"]
        created, patched, deleted = events
        assert [key for key in ("requestObject", "responseObject") if key in created] == objects
        if "requestObject" in objects:
            assert created["requestObject"] == SECRET
            assert patched["requestObject"] == patch
        if "responseObject" in objects:
            assert created["responseObject"]["metadata"]["managedFields"]
            assert deleted["responseStatus"]["status"] == "Success"


async def test_fields_owners_are_left_out_where_the_policy_says_so(tmp_path: Path) -> None:
    rules = "omitManagedFields: true\nrules: [{level: RequestResponse}]\n"
    async with Audited(tmp_path, rules) as audited:
        await audited.ask("POST", SECRETS, SECRET)
        await audited.ask("GET", SECRETS)
        created, listed = [one for one in audited.events() if one["stage"] == "ResponseComplete"]
        assert "managedFields" not in created["responseObject"]["metadata"]
        assert "managedFields" not in listed["responseObject"]["items"][0]["metadata"]


async def test_secrets_are_kept_out_while_the_rest_is_written_whole(tmp_path: Path) -> None:
    rules = (
        "omitStages: [RequestReceived]\n"
        "rules:\n"
        '- {level: Metadata, resources: [{group: "", resources: [secrets]}]}\n'
        "- {level: RequestResponse}\n"
    )
    async with Audited(tmp_path, rules) as audited:
        await audited.ask("POST", SECRETS, SECRET)
        await audited.ask("GET", SECRETS)
        config_map = {"metadata": {"name": "c"}, "data": {"a": "b"}}
        await audited.ask("POST", "/api/v1/namespaces/default/configmaps", config_map)
        assert [one["level"] for one in audited.events()] == [
            *("Metadata", "Metadata", "RequestResponse")
        ]
        text = audited.log.read_text()
        assert "hunter2" not in text
        assert "aHVudGVyMg" not in text


async def test_strict_servers_do_nothing_that_they_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    async with Audited(tmp_path, ALL % "Metadata", audit_log_mode="blocking-strict") as audited:
        answer = await audited.ask("POST", SECRETS, SECRET)
        assert answer.status == 500
        assert (await audited.ask("GET", f"{SECRETS}/s")).status == 500
        assert audited.server.storage is not None
        counts = audited.server.app.server.metrics.text().decode()
        assert "apiserver_audit_requests_rejected_total 2.0" in counts


async def test_counts(metadata: Audited) -> None:
    await metadata.ask("GET", "/version")
    text = metadata.server.app.server.metrics.text().decode()
    assert "apiserver_audit_event_total 2.0" in text
    assert 'apiserver_audit_level_total{level="Metadata"} 1.0' in text


@pytest.mark.parametrize(
    ("headers", "remote", "addresses"),
    [
        ({}, "10.0.0.1", ["10.0.0.1"]),
        ({"x-forwarded-for": "1.1.1.1, 2.2.2.2"}, "10.0.0.1", ["1.1.1.1", "2.2.2.2", "10.0.0.1"]),
        ({"x-forwarded-for": "1.1.1.1, 10.0.0.1"}, "10.0.0.1", ["1.1.1.1", "10.0.0.1"]),
        ({"x-real-ip": "3.3.3.3"}, "10.0.0.1", ["3.3.3.3", "10.0.0.1"]),
        ({"x-forwarded-for": "3.3.3.3", "x-real-ip": "3.3.3.3"}, "", ["3.3.3.3"]),
        ({"x-forwarded-for": "no address, ::1"}, "10.0.0.1", ["::1", "10.0.0.1"]),
    ],
    ids=["direct", "proxies", "said already", "real", "once", "nonsense"],
)
def test_where_a_request_says_it_comes_from(
    headers: dict[str, str], remote: str, addresses: list[str]
) -> None:
    assert source_addresses(headers, remote) == addresses
