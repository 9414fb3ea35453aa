"""Audit logs read together: order, filters, files that are put aside while somebody follows them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.local.audit_reader import Follower, Wanted, line, past
from controlplane.local.protection import audit_log, audit_policy

Event = dict[str, Any]


def event(second: int, user: str = "alice", verb: str = "get", **more: Any) -> Event:
    made: Event = {
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/d/pods/web",
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": "pods", "namespace": "d", "name": "web"},
        "responseStatus": {"code": 200},
        "stageTimestamp": f"2026-01-02T03:04:{second:02d}.000000Z",
    }
    return {**made, **more}


def write(path: Path, *events: Event) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in events)


def users(events: list[Event]) -> list[str]:
    return [one["user"]["username"] for one in events]


def test_all_files_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path / "master-1.log", event(5, "e"), event(7, "g"))
    write(tmp_path / "master-2.log", event(6, "f"))
    write(tmp_path / "master-1-2026-01-02T03-04-04.000.log", event(3, "c"))
    packed = tmp_path / "master-2-2026-01-02T03-04-03.000.log.gz"
    packed.write_bytes(gzip.compress(json.dumps(event(2, "b")).encode() + b"\n"))
    with (tmp_path / "master-2.log").open("a") as file:
        file.write('{"half')
    assert users(past(tmp_path, Wanted())) == ["b", "c", "e", "f", "g"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["alice", "bob", "root"]),
        (Wanted(user="bob"), ["bob", "root"]),
        (Wanted(verb="create"), ["bob"]),
        (Wanted(resource="pods"), ["alice", "root"]),
        (Wanted(resource="pods/exec"), ["root"]),
        (Wanted(namespace="d", name="web"), ["alice"]),
        (Wanted(code=403), ["root"]),
        (Wanted(since=1767323046.5), ["root"]),
    ],
    ids=["all", "user", "verb", "resource", "subresource", "object", "code", "since"],
)
def test_filters(tmp_path: Path, wanted: Wanted, found: list[str]) -> None:
    write(
        tmp_path / "m.log",
        event(5),
        event(6, "bob", "create", objectRef={"resource": "secrets", "namespace": "e"}),
        event(
            *(7, "root", "get"),
            impersonatedUser={"username": "bob"},
            objectRef={"resource": "pods", "subresource": "exec", "namespace": "d", "name": "x"},
            responseStatus={"code": 403, "reason": "Forbidden"},
        ),
    )
    assert users(past(tmp_path, wanted)) == found


def test_a_follower_sees_what_comes_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "m.log"
    write(path, event(1, "old"))
    follower = Follower(tmp_path)
    assert follower.poll(Wanted()) == []
    write(path, event(2, "a"))
    with path.open("a") as file:
        file.write(json.dumps(event(3, "b"))[:30])
    assert users(follower.poll(Wanted())) == ["a"]
    with path.open("a") as file:
        file.write(json.dumps(event(3, "b"))[30:] + "\n")
    path.rename(tmp_path / "m-2026-01-02T03-04-04.000.log")
    write(path, event(4, "c"))
    write(tmp_path / "n.log", event(5, "d"))
    assert users(follower.poll(Wanted())) == ["b", "c", "d"]
    assert follower.poll(Wanted()) == []
    follower.close()


def test_an_event_in_words() -> None:
    shown = line(
        event(
            *(7, "root", "create"),
            impersonatedUser={"username": "bob"},
            objectRef={"resource": "pods", "subresource": "exec", "namespace": "d", "name": "x"},
            responseStatus={"code": 403, "reason": "Forbidden"},
            stage="ResponseStarted",
        )
    )
    assert shown == (
        "2026-01-02T03:04:07.000  root as bob  create  pods/exec d/x  403  ResponseStarted  "
        "Forbidden"
    )
    other = line({"verb": "get", "requestURI": "/version", "user": {}})
    assert other.split() == ["-", "-", "get", "/version", "-"]


def test_the_policys_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = audit_policy(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("mine")
    assert audit_policy(tmp_path).read_text() == "mine"
    assert audit_log(tmp_path, "m").parent.stat().st_mode & 0o777 == 0o700
