"""Kubernetes' messages as google.protobuf knows them, built when first asked for from the facts of their types.

A package of Go types becomes a file of descriptors in a pool of our own: other libraries in a process may hold the same
messages. Presence is proto2's, since the original tells a pointer to zero from nil.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controlplane.api.schema import messages
from controlplane.api.schema.messages import Field, Label

_KIND = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _KIND.TYPE_STRING,
    "bool": _KIND.TYPE_BOOL,
    "int32": _KIND.TYPE_INT32,
    "int64": _KIND.TYPE_INT64,
    "double": _KIND.TYPE_DOUBLE,
    "bytes": _KIND.TYPE_BYTES,
}

_pool = descriptor_pool.DescriptorPool()


@cache
def message_class(name: str) -> type[Any]:
    """The class of the message of that full name."""
    _load(messages.package_of(name))
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


@cache
def _load(package: str) -> str:
    """Add a package's file, and those it needs, to the pool; returns the file's name."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    needed: set[str] = set()
    for name in messages.packages()[package]:
        message = messages.message(name)
        row = file.message_type.add(name=message.go_name)
        for field in message.fields:
            _add(row, name, field)
            if field.is_message:
                needed.add(messages.package_of(field.type))
    for other in sorted(needed - {package}):
        file.dependency.append(_load(other))
    _pool.AddSerializedFile(file.SerializeToString())
    return str(file.name)


def _add(row: Any, message: str, field: Field) -> None:
    added = row.field.add(name=field.name, number=field.number)
    added.label = _KIND.LABEL_OPTIONAL if field.label is Label.ONE else _KIND.LABEL_REPEATED
    if field.label is not Label.MAP:
        _set_type(added, field.type)
        return
    entry = row.nested_type.add(name=_entry_name(field.name))
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_KIND.TYPE_STRING, label=_KIND.LABEL_OPTIONAL)
    _set_type(entry.field.add(name="value", number=2, label=_KIND.LABEL_OPTIONAL), field.type)
    added.type = _KIND.TYPE_MESSAGE
    added.type_name = f".{message}.{entry.name}"


def _entry_name(field: str) -> str:
    """The name that protobuf demands of a map's entries: `matchLabels` -> `MatchLabelsEntry`."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"


def _set_type(added: Any, kind: str) -> None:
    if kind in _SCALARS:
        added.type = _SCALARS[kind]
    else:
        added.type = _KIND.TYPE_MESSAGE
        added.type_name = "." + kind
