"""Message types for the checker: a pool of descriptors, and how messages are added to it.

Only the types of fields count; nothing is ever encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2

VALUE = "google.protobuf.Value"
"""The type of fields that may hold anything."""
TIME = "google.protobuf.Timestamp"

_Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
}
"""The types of fields that are no messages, as CEL names them."""


def new_pool() -> Any:
    """A pool that knows `VALUE` and `TIME`."""
    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    return pool


def add(pool: Any, name: str, package: str, messages: Mapping[str, Mapping[str, str]]) -> None:
    """Add messages by name: their fields, with types; `*` marks lists. `name` is free and unique in the pool."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"kubernetes/{name}.proto",
        package=package,
        syntax="proto3",
        dependency=["google/protobuf/struct.proto", "google/protobuf/timestamp.proto"],
    )
    for message, fields in messages.items():
        row = file.message_type.add(name=message)
        for number, (key, sort) in enumerate(fields.items(), start=1):
            field = row.field.add(name=key, number=number)
            is_list, sort = sort.startswith("*"), sort.removeprefix("*")
            field.label = _Field.LABEL_REPEATED if is_list else _Field.LABEL_OPTIONAL
            if sort in SCALARS:
                field.type = SCALARS[sort]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{sort}"
    pool.Add(file)
