"""What is known of Kubernetes' types: their fields, numbers on the wire, and what becomes of zero values.

Read from `controlplane/api/data/kinds-1.36.json`, which `make kinds-data` generates, at the first question. The JSON
form (`normal`) and the protobuf form (`wire.protobuf`) of objects are both compiled from these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec

DATA_FILE = "kinds-1.36.json"

META = "k8s.io.apimachinery.pkg.apis.meta.v1."
OBJECT_META = META + "ObjectMeta"
TIME = META + "Time"
MICRO_TIME = META + "MicroTime"
FIELDS_V1 = META + "FieldsV1"
RAW_EXTENSION = "k8s.io.apimachinery.pkg.runtime.RawExtension"
QUANTITY = "k8s.io.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "k8s.io.apimachinery.pkg.util.intstr.IntOrString"
_CRD = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1."
CRD_JSON = _CRD + "JSON"
SCHEMA_OR_ARRAY = _CRD + "JSONSchemaPropsOrArray"
SCHEMA_OR_BOOL = _CRD + "JSONSchemaPropsOrBool"
SCHEMA_OR_STRINGS = _CRD + "JSONSchemaPropsOrStringArray"
# Named lists of strings: a message with the field `items` on the wire, a plain list in JSON.
STRING_LISTS = (".ExtraValue", ".Verbs")

# Kinds that stand in every group version, because requests and answers are made of them.
_EVERYWHERE = frozenset(
    {"CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "UpdateOptions"}
    | {"Status", "WatchEvent", "APIGroup", "APIGroupList", "APIResourceList", "APIVersions"}
)
_API = "k8s.io.api."
# The Go packages of the groups; another group with the same first word is not Kubernetes' own.
_PACKAGES = {
    "": _API + "core",
    **{group: _API + group for group in ("apps", "autoscaling", "batch", "extensions", "policy")},
    **{
        group + ".k8s.io": _API + group
        for group in (
            *("admission", "admissionregistration", "apidiscovery", "authentication"),
            *("authorization", "certificates", "coordination", "discovery", "events"),
            *("imagepolicy", "networking", "node", "resource", "scheduling", "storage"),
            "storagemigration",
        )
    },
    "rbac.authorization.k8s.io": _API + "rbac",
    "flowcontrol.apiserver.k8s.io": _API + "flowcontrol",
    "internal.apiserver.k8s.io": _API + "apiserverinternal",
    "apiextensions.k8s.io": _CRD.removesuffix(".v1."),
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
    "meta.k8s.io": META.removesuffix(".v1."),
}


class Label(IntEnum):
    """How often a field may stand."""

    ONE = 0
    REPEATED = 1
    MAP = 2


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    `name` and `number` are those of the wire, `json_name` is `~inline` for an embedded struct and `-` for what JSON
    does not have. `type` is a scalar (string, bool, int32, int64, double, bytes) or a message's name, of each element
    or map value. `rule` says what a zero value becomes: `a` written, `o` left out but for structs, `z` left out, `p`
    a pointer (left out when nil), `P` a pointer written as null. `go_type` is the type's name in error texts.
    """

    name: str
    number: int
    label: Label
    type: str
    json_name: str
    rule: str
    go_type: str

    @property
    def is_message(self) -> bool:
        """Whether an element is a message."""
        return "." in self.type

    @property
    def is_pointer(self) -> bool:
        """Whether nil and zero differ."""
        return self.rule in ("p", "P")


@dataclass(frozen=True, slots=True)
class Message:
    """A type: its full name, whether it carries apiVersion and kind, and its fields by number."""

    name: str
    has_type_meta: bool
    fields: tuple[Field, ...]

    @property
    def go_name(self) -> str:
        """The type's own name, without its package."""
        return self.name.rpartition(".")[2]


class _File(msgspec.Struct):
    messages: list[tuple[str, int, list[list[Any]]]]


@cache
def _rows() -> tuple[list[str], dict[str, tuple[str, int, list[list[Any]]]]]:
    content = files("controlplane.api.data").joinpath(DATA_FILE).read_bytes()
    rows = msgspec.json.decode(content, type=_File).messages
    return [row[0] for row in rows], {row[0]: row for row in rows}


@cache
def message(name: str) -> Message:
    """The message of that full name; KeyError when there is none."""
    names, rows = _rows()
    _, has_type_meta, fields = rows[name]
    return Message(
        name,
        bool(has_type_meta),
        tuple(
            Field(
                row[0],
                row[1],
                Label(row[2]),
                names[row[3]] if isinstance(row[3], int) else row[3],
                *row[4:],
            )
            for row in fields
        ),
    )


def has_message(name: str) -> bool:
    """Whether there is such a message."""
    return name in _rows()[1]


@cache
def package_of(name: str) -> str:
    """The package of a message's name."""
    return name.rpartition(".")[0]


@cache
def packages() -> dict[str, tuple[str, ...]]:
    """All packages with the names of their messages."""
    found: dict[str, list[str]] = {}
    for name in _rows()[0]:
        found.setdefault(package_of(name), []).append(name)
    return {package: tuple(names) for package, names in found.items()}


@lru_cache(maxsize=1024)
def message_of(api_version: str, kind: str) -> Message | None:
    """The message of an object's apiVersion and kind; None for what Kubernetes itself does not define."""
    group, _, version = api_version.rpartition("/")
    package = _PACKAGES.get(group, "")
    if kind in _EVERYWHERE:
        package, version = _PACKAGES["meta.k8s.io"], "v1"
    name = f"{package}.{version}.{kind}"
    if kind == "PartialObjectMetadata":
        # The older version has a list of its own, but not the type.
        name = META + kind
    if not package or not has_message(name):
        return None
    found = message(name)
    return found if found.has_type_meta else None
