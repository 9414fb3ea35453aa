"""Protobuf both ways: what is written is what the original writes, and reading it again gives the same object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import BadRequest, UnsupportedMediaType
from controlplane.api.schema import messages, normal
from controlplane.api.wire import descriptors, protobuf

Obj = dict[str, Any]

RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "stored-objects.json").read_text())


def normalized(obj: Obj) -> Obj:
    kind = normal.compiled_of(obj["apiVersion"], obj["kind"])
    assert kind is not None
    return normal.normalize(obj, kind)[0]


def without_kinds_of_claims(obj: Obj) -> Obj:
    """Templates of claims carry apiVersion and kind in JSON only; the kind's defaults put them back."""
    for template in obj.get("spec", {}).get("volumeClaimTemplates") or ():
        template.pop("apiVersion", None)
        template.pop("kind", None)
    return obj


@pytest.mark.parametrize(
    "obj", RECORDED, ids=[f"{obj['kind']}-{obj['metadata'].get('name')}" for obj in RECORDED]
)
def test_objects_of_every_kind_survive(obj: Obj) -> None:
    again = normalized(protobuf.decode(protobuf.encode(obj)))
    assert again == without_kinds_of_claims(obj)


# The first bytes of what a real API server of 1.36 sent, and the objects they stand for.
STATUS = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": 'configmaps "none" not found',
    "reason": "NotFound",
    "details": {"name": "none", "kind": "configmaps"},
    "code": 404,
}


def test_a_status_is_written_as_the_original_does() -> None:
    start = "6b3873000a0c0a027631120653746174757312550a060a0012001a0012074661696c7572651a1b636f6e"
    assert protobuf.encode(STATUS).hex().startswith(start)


def test_zero_values_of_metadata_are_written_as_the_original_does() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "golden-proto", "uid": "6f137782"},
    }
    start = "6b3873000a0f0a0276311209436f6e6669674d6170"
    metadata = "0a016112001a0c676f6c64656e2d70726f746f22002a08" + b"6f137782".hex() + "320038004200"
    body = protobuf.encode(obj).hex()
    assert body.startswith(start)
    assert metadata in body


def test_a_list_is_written_as_the_original_does() -> None:
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMapList",
        "metadata": {"resourceVersion": "57912"},
        "items": [],
    }
    start = "6b3873000a130a027631120d436f6e6669674d61704c697374120d0a0b0a00120535373931321a00"
    assert protobuf.encode(content).hex().startswith(start)


def test_a_frame_of_a_watch_is_written_as_the_original_does() -> None:
    frame = protobuf.watch_frame("ADDED", b"k8s\x00" + b"x" * 251)
    assert frame.hex().startswith("0000010c0a0541444445441282020aff016b387300")
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4


def test_metadata_alone_has_a_form() -> None:
    obj = {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": {"name": "a"},
    }
    start = (
        "6b3873000a270a0e6d6574612e6b38732e696f2f763112155061727469616c4f626a6563744d65746164617461"
    )
    assert protobuf.encode(obj).hex().startswith(start)
    old = {"apiVersion": "meta.k8s.io/v1beta1", "kind": "PartialObjectMetadataList", "items": [obj]}
    assert b"PartialObjectMetadataList" in protobuf.encode({**old, "metadata": {}})


def test_keys_of_maps_are_in_order() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"b": "2", "a": "1", "c": "3"}}
    body = protobuf.encode({**obj, "metadata": {}})
    assert body.index(b"\x01a") < body.index(b"\x01b") < body.index(b"\x01c")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param(8080, 8080, id="number"),
        pytest.param("http", "http", id="text"),
        pytest.param(0, 0, id="zero"),
    ],
)
def test_int_or_string(value: object, kept: object) -> None:
    port = {"port": 80, "targetPort": value}
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": [port]}}
    again = protobuf.decode(protobuf.encode(obj))
    assert again["spec"]["ports"][0]["targetPort"] == kept


@pytest.mark.parametrize(
    "rules",
    [
        {"items": {"type": "string"}, "additionalProperties": False},
        {"items": [{"type": "string"}], "additionalProperties": {"type": "integer"}},
        {"enum": ["a", 1, None], "default": {"x": [1]}, "dependencies": {"a": ["b"]}},
        {"x-kubernetes-validations": [{"rule": "self > 1"}], "maximum": 0.0},
    ],
    ids=["one schema", "several schemas", "any JSON", "rules"],
)
def test_schemas_of_custom_resources(rules: Obj) -> None:
    obj = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a.b.c"},
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": rules}}]},
    }
    again = protobuf.decode(protobuf.encode(obj))
    assert again["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == rules


def test_custom_resources_have_no_form() -> None:
    with pytest.raises(ValueError, match="no protobuf form"):
        protobuf.encode({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}})


def test_an_unknown_type_is_refused() -> None:
    body = protobuf.encode({"apiVersion": "v1", "kind": "Pod", "metadata": {}})
    with pytest.raises(UnsupportedMediaType):
        protobuf.decode(body.replace(b"Pod", b"Pox", 1))


def test_a_broken_envelope_is_told() -> None:
    with pytest.raises(BadRequest, match="unexpected EOF"):
        protobuf.decode(bytes.fromhex("6b387300ffff"))


def test_every_message_has_a_class_and_a_zero() -> None:
    for names in messages.packages().values():
        for name in names:
            zero = protobuf.codec(name).zero
            message = descriptors.message_class(name).FromString(zero)
            assert message.SerializeToString() == zero, name


def test_times_of_the_first_years_have_four_digits() -> None:
    # Go's zero time plus two seconds, as the conformance suite stores it in a Lease.
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l", "creationTimestamp": "0001-01-01T00:00:02Z"},
        "spec": {"acquireTime": "0001-01-01T00:00:02.000000Z"},
    }
    again = protobuf.decode(protobuf.encode(lease))
    assert again["spec"]["acquireTime"] == "0001-01-01T00:00:02.000000Z"
    assert again["metadata"]["creationTimestamp"] == "0001-01-01T00:00:02Z"
    assert normalized(again)["spec"] == lease["spec"]
