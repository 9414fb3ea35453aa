"""Encode an OpenAPI 2 document as gnostic's `openapi.v2.Document` protobuf.

`_MESSAGES` are those messages and fields of gnostic's openapiv2/OpenAPIv2.proto that our documents use, with their
numbers. Vendor extensions are gnostic `Any`s that hold YAML (JSON is YAML). Members of a oneof stand as plain fields: a
writer that sets one of them writes the same bytes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controlplane.api.meta import Obj

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_PACKAGE = "openapi.v2"

# message -> field -> (number, type); `*` before a type is repeated, a type with a capital is a message.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Document": {
        "swagger": (1, "string"),
        "info": (2, "Info"),
        "paths": (8, "Paths"),
        "definitions": (9, "Definitions"),
    },
    "Info": {"title": (1, "string"), "version": (2, "string")},
    "Paths": {"path": (2, "*NamedPathItem")},
    "NamedPathItem": {"name": (1, "string"), "value": (2, "PathItem")},
    "PathItem": {
        "get": (2, "Operation"),
        "put": (3, "Operation"),
        "post": (4, "Operation"),
        "delete": (5, "Operation"),
        "options": (6, "Operation"),
        "head": (7, "Operation"),
        "patch": (8, "Operation"),
        "parameters": (9, "*ParametersItem"),
    },
    "Operation": {
        "tags": (1, "*string"),
        "description": (3, "string"),
        "operation_id": (5, "string"),
        "produces": (6, "*string"),
        "consumes": (7, "*string"),
        "parameters": (8, "*ParametersItem"),
        "responses": (9, "Responses"),
        "schemes": (10, "*string"),
        "vendor_extension": (13, "*NamedAny"),
    },
    "Responses": {"response_code": (1, "*NamedResponseValue")},
    "NamedResponseValue": {"name": (1, "string"), "value": (2, "ResponseValue")},
    "ResponseValue": {"response": (1, "Response")},
    "Response": {"description": (1, "string"), "schema": (2, "SchemaItem")},
    "SchemaItem": {"schema": (1, "Schema")},
    "ParametersItem": {"parameter": (1, "Parameter")},
    "Parameter": {
        "body_parameter": (1, "BodyParameter"),
        "non_body_parameter": (2, "NonBodyParameter"),
    },
    "BodyParameter": {
        "description": (1, "string"),
        "name": (2, "string"),
        "in": (3, "string"),
        "required": (4, "bool"),
        "schema": (5, "Schema"),
    },
    "NonBodyParameter": {
        "query_parameter_sub_schema": (3, "QueryParameterSubSchema"),
        "path_parameter_sub_schema": (4, "PathParameterSubSchema"),
    },
    # The path form has no allow_empty_value, so its type comes one number earlier.
    "QueryParameterSubSchema": {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (6, "string"),
    },
    "PathParameterSubSchema": {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (5, "string"),
    },
    "Definitions": {"additional_properties": (1, "*NamedSchema")},
    "NamedSchema": {"name": (1, "string"), "value": (2, "Schema")},
    "Schema": {
        "ref": (1, "string"),
        "format": (2, "string"),
        "description": (4, "string"),
        "required": (19, "*string"),
        "additional_properties": (21, "AdditionalPropertiesItem"),
        "type": (22, "TypeItem"),
        "items": (23, "ItemsItem"),
        "properties": (25, "Properties"),
        "vendor_extension": (31, "*NamedAny"),
    },
    "AdditionalPropertiesItem": {"schema": (1, "Schema"), "boolean": (2, "bool")},
    "TypeItem": {"value": (1, "*string")},
    "ItemsItem": {"schema": (1, "*Schema")},
    "Properties": {"additional_properties": (1, "*NamedSchema")},
    "NamedAny": {"name": (1, "string"), "value": (2, "Any")},
    "Any": {"yaml": (2, "string")},
}


@cache
def document_class() -> type[Any]:
    """The class of a Document, whose descriptors stand in a pool of their own."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="openapi_v2.proto", package=_PACKAGE)
    for name, fields in _MESSAGES.items():
        row = file.message_type.add(name=name)
        for field, (number, wanted) in fields.items():
            added = row.field.add(name=field, number=number)
            added.label = kind.LABEL_REPEATED if wanted[0] == "*" else kind.LABEL_OPTIONAL
            element = wanted.lstrip("*")
            if element in ("string", "bool"):
                added.type = kind.TYPE_STRING if element == "string" else kind.TYPE_BOOL
            else:
                added.type = kind.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{element}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Document"))


def encode_document(document: Obj) -> bytes:
    """The document's bytes."""
    made = document_class()()
    made.swagger = document["swagger"]
    _set(made.info, document["info"], "title", "version")
    for path, item in document["paths"].items():
        _path(made.paths.path.add(name=path).value, item)
    for name, body in document["definitions"].items():
        _named_schema(made.definitions.additional_properties.add(), name, body)
    return bytes(made.SerializeToString())


def _set(message: Any, source: Obj, *names: str) -> None:
    """Copy what is there and not empty."""
    for name in names:
        value = source.get(name)
        if value:
            setattr(message, name, value)


def _extend(message: Any, source: Obj, *names: str) -> None:
    for name in names:
        if source.get(name):
            getattr(message, name).extend(map(str, source[name]))


def _extensions(message: Any, source: Obj) -> None:
    for key, value in source.items():
        if key.startswith("x-"):
            row = message.vendor_extension.add(name=key)
            row.value.yaml = json.dumps(value, separators=(",", ":")) + "\n"


def _path(message: Any, item: Obj) -> None:
    message.SetInParent()
    for method in _METHODS:
        if method in item:
            _operation(getattr(message, method), item[method])
    for row in item.get("parameters", ()):
        _parameter(message.parameters.add().parameter, row)


def _operation(message: Any, operation: Obj) -> None:
    message.SetInParent()
    _extend(message, operation, "tags", "produces", "consumes", "schemes")
    _set(message, operation, "description")
    if operation.get("operationId"):
        message.operation_id = operation["operationId"]
    for row in operation.get("parameters", ()):
        _parameter(message.parameters.add().parameter, row)
    message.responses.SetInParent()
    for code, body in operation.get("responses", {}).items():
        response = message.responses.response_code.add(name=str(code)).value.response
        response.SetInParent()
        _set(response, body, "description")
        if "schema" in body:
            _schema(response.schema.schema, body["schema"])
    _extensions(message, operation)


def _parameter(message: Any, row: Obj) -> None:
    """Which of the nested oneofs it is, is told by `in`."""
    if row["in"] == "body":
        body = message.body_parameter
        _set(body, row, "description", "name", "in", "required")
        _schema(body.schema, row["schema"])
        return
    other = message.non_body_parameter
    in_query = row["in"] == "query"
    form = other.query_parameter_sub_schema if in_query else other.path_parameter_sub_schema
    _set(form, row, "required", "in", "description", "name", "type")


def _named_schema(message: Any, name: str, body: Obj) -> None:
    message.name = name
    _schema(message.value, body)


def _schema(message: Any, schema: Obj) -> None:
    message.SetInParent()
    _set(message, schema, "format", "description")
    if schema.get("$ref"):
        message.ref = schema["$ref"]
    _extend(message, schema, "required")
    additional = schema.get("additionalProperties")
    if isinstance(additional, bool):
        message.additional_properties.boolean = additional
    elif isinstance(additional, dict):
        _schema(message.additional_properties.schema, additional)
    if "type" in schema:
        message.type.value.append(schema["type"])
    if "items" in schema:
        _schema(message.items.schema.add(), schema["items"])
    if "properties" in schema:
        message.properties.SetInParent()
        for name, body in schema["properties"].items():
            _named_schema(message.properties.additional_properties.add(), name, body)
    _extensions(message, schema)
