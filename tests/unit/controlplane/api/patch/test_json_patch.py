"""JSON patches: what the original does where the RFC leaves room, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.errors import BadRequest, Invalid, RequestEntityTooLarge
from controlplane.api.patch import json_patch

Obj = dict[str, Any]
LIVE = {"a": 1, "l": [1, 2, 3], "m": {"x~y": 1, "s/t": 2}}


def patched(*operations: Obj) -> Obj:
    return json_patch.apply(LIVE, list(operations))


@pytest.mark.parametrize(
    ("operation", "key", "value"),
    [
        pytest.param({"op": "add", "path": "/b", "value": 2}, "b", 2, id="add"),
        pytest.param({"op": "add", "path": "/l/1", "value": 9}, "l", [1, 9, 2, 3], id="insert"),
        pytest.param({"op": "add", "path": "/l/-", "value": 9}, "l", [1, 2, 3, 9], id="append"),
        pytest.param(
            {"op": "add", "path": "/l/-1", "value": 9}, "l", [1, 2, 9, 3], id="from the end"
        ),
        pytest.param(
            {"op": "replace", "path": "/new", "value": 9}, "new", 9, id="replace of nothing"
        ),
        pytest.param({"op": "replace", "path": "/l/0", "value": 9}, "l", [9, 2, 3], id="replace"),
        pytest.param({"op": "remove", "path": "/l/0"}, "l", [2, 3], id="remove"),
        pytest.param({"op": "test", "path": "/nope", "value": None}, "a", 1, id="test for nothing"),
        pytest.param({"op": "test", "path": "/m/x~0y", "value": 1}, "a", 1, id="tilde"),
        pytest.param({"op": "copy", "from": "/m/s~1t", "path": "/b"}, "b", 2, id="copy, slash"),
        pytest.param({"op": "move", "from": "/l/0", "path": "/l/2"}, "l", [2, 3, 1], id="move"),
    ],
)
def test_what_is_done(operation: Obj, key: str, value: Any) -> None:
    assert patched(operation)[key] == value


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "replace", "path": "/no/such", "value": 1}, id="no parent"),
        pytest.param({"op": "remove", "path": "/nope"}, id="nothing to remove"),
        pytest.param({"op": "test", "path": "/a", "value": 2}, id="failed test"),
        pytest.param({"op": "test", "path": "/a", "value": True}, id="1 is not true"),
        pytest.param({"op": "test", "path": "/nope/x", "value": None}, id="test below nothing"),
        pytest.param({"op": "frob", "path": "/a"}, id="unknown operation"),
        pytest.param({"op": "add", "path": "a", "value": 1}, id="no slash"),
        pytest.param({"op": "add", "path": "/l/4", "value": 1}, id="beyond the end"),
        pytest.param({"op": "add", "path": "/l/x", "value": 1}, id="no index"),
        pytest.param({"op": "copy", "from": "/x/y", "path": "/b"}, id="copy of nothing"),
        pytest.param({"op": "add", "path": "", "value": [1]}, id="not an object any more"),
    ],
)
def test_what_cannot_be_applied_is_invalid_without_a_reason(operation: Obj) -> None:
    with pytest.raises(Invalid) as refused:
        patched(operation)
    status = refused.value.status()
    assert status["message"] == "the server rejected our request due to an error in our request"
    assert status["details"] == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "error decoding patch: unexpected end of JSON input"),
        (b"", "error decoding patch: unexpected end of JSON input"),
        (
            b'{"a": 1}',
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "[]handlers.jsonPatchOp",
        ),
    ],
    ids=["cut off", "empty", "not a list"],
)
def test_what_cannot_be_read(body: bytes, text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        json_patch.parse(body)
    assert refused.value.message == text


def test_the_live_object_stays() -> None:
    patched({"op": "add", "path": "/l/-", "value": 9}, {"op": "remove", "path": "/m"})
    assert LIVE["l"] == [1, 2, 3]
    assert "m" in LIVE


def test_copies_of_copies_are_bounded() -> None:
    grow = [{"op": "add", "path": "/c", "value": ["x" * 1000]}]
    grow += [{"op": "copy", "from": "/c", "path": "/c/-"}] * 40
    with pytest.raises(Invalid):
        patched(*grow)


def test_too_many_operations_are_too_large() -> None:
    many = [{"op": "test", "path": "/a", "value": 1}] * (json_patch.MAX_OPERATIONS + 1)
    with pytest.raises(
        RequestEntityTooLarge, match="Request entity too large: The allowed maximum"
    ):
        patched(*many)
