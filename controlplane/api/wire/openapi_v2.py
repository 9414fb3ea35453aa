"""Encode an OpenAPI 2 document as gnostic's `openapi.v2.Document` protobuf.

A hand encoder for the fields our documents use; field numbers are those of gnostic's
openapiv2/OpenAPIv2.proto. Vendor extensions are gnostic `Any`s that hold YAML (JSON is YAML).
Generating code for the whole schema was rejected: it is one-way, and twenty messages.
"""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: Any) -> bytes:
    return _bytes(field, str(value).encode()) if value else b""


def _texts(field: int, values: Any) -> bytes:
    return b"".join(_bytes(field, str(value).encode()) for value in values or ())


def _flag(field: int, value: Any) -> bytes:
    return _varint(field << 3) + b"\x01" if value else b""


def _named(field: int, name: str, value: bytes) -> bytes:
    return _bytes(field, _text(1, name) + _bytes(2, value))


def _extensions(field: int, source: Object) -> bytes:
    return b"".join(
        _named(field, key, _text(2, json.dumps(value, separators=(",", ":")) + "\n"))
        for key, value in source.items()
        if key.startswith("x-")
    )


def encode_document(document: Object) -> bytes:
    """The document's bytes."""
    info = document["info"]
    paths = b"".join(_named(2, path, _path(item)) for path, item in document["paths"].items())
    definitions = b"".join(
        _named(1, name, _schema(body)) for name, body in document["definitions"].items()
    )
    return (
        _text(1, document["swagger"])
        + _bytes(2, _text(1, info["title"]) + _text(2, info["version"]))
        + _bytes(8, paths)
        + _bytes(9, definitions)
    )


def _path(item: Object) -> bytes:
    out = b"".join(
        _bytes(number, _operation(item[method]))
        for method, number in _METHODS.items()
        if method in item
    )
    return out + b"".join(_bytes(9, _parameter(row)) for row in item.get("parameters", ()))


def _operation(operation: Object) -> bytes:
    responses = b"".join(
        _named(1, code, _bytes(1, _response(body)))
        for code, body in operation.get("responses", {}).items()
    )
    return (
        _texts(1, operation.get("tags"))
        + _text(3, operation.get("description"))
        + _text(5, operation.get("operationId"))
        + _texts(6, operation.get("produces"))
        + _texts(7, operation.get("consumes"))
        + b"".join(_bytes(8, _parameter(row)) for row in operation.get("parameters", ()))
        + _bytes(9, responses)
        + _texts(10, operation.get("schemes"))
        + _extensions(13, operation)
    )


def _response(body: Object) -> bytes:
    out = _text(1, body.get("description"))
    if "schema" in body:
        # SchemaItem is a oneof: schema or fileSchema.
        out += _bytes(2, _bytes(1, _schema(body["schema"])))
    return out


def _parameter(row: Object) -> bytes:
    """A ParametersItem; which of its nested oneofs is told by `in`."""
    if row["in"] == "body":
        body = (
            _text(1, row.get("description"))
            + _text(2, row["name"])
            + _text(3, row["in"])
            + _flag(4, row.get("required"))
            + _bytes(5, _schema(row["schema"]))
        )
        return _bytes(1, _bytes(1, body))
    in_query = row["in"] == "query"
    # The path form has no allow_empty_value, so its type comes one number earlier.
    type_number = 6 if in_query else 5
    inner = (
        _flag(1, row.get("required"))
        + _text(2, row["in"])
        + _text(3, row.get("description"))
        + _text(4, row["name"])
        + _text(type_number, row["type"])
    )
    return _bytes(1, _bytes(2, _bytes(3 if in_query else 4, inner)))


def _schema(schema: Object) -> bytes:
    out = (
        _text(1, schema.get("$ref"))
        + _text(2, schema.get("format"))
        + _text(4, schema.get("description"))
        + _texts(19, schema.get("required"))
    )
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        out += _bytes(21, _bytes(1, _schema(additional)))
    elif isinstance(additional, bool):
        out += _bytes(21, _varint(2 << 3) + (b"\x01" if additional else b"\x00"))
    if "type" in schema:
        out += _bytes(22, _text(1, schema["type"]))
    if "items" in schema:
        out += _bytes(23, _bytes(1, _schema(schema["items"])))
    if "properties" in schema:
        rows = b"".join(_named(1, key, _schema(row)) for key, row in schema["properties"].items())
        out += _bytes(25, rows)
    return out + _extensions(31, schema)
