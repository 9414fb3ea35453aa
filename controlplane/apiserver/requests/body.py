"""Request bodies -> objects: JSON, YAML or protobuf, checked against the schema as `fieldValidation` asks."""

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import yaml

from controlplane.api import errors, meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.schema import messages, normal, strict
from controlplane.api.schema.values import MalformedError
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Request

_YAML_PROBLEMS = "yaml: unmarshal errors:\n"
_YAML_TYPES = (negotiate.YAML, "application/x-yaml", "text/yaml", "application/apply-patch+yaml")


def parse(request: Request, *, content_type: str = "") -> tuple[Any, list[str]]:
    """(the body's value, what a strict decoder would refuse)."""
    media_type = content_type or negotiate.body_type(request.headers.get("content-type", ""))
    if media_type == negotiate.JSON:
        return strict.loads(request.body)
    if media_type in _YAML_TYPES:
        return _load_yaml(request.body)
    if media_type == negotiate.PROTOBUF:
        from controlplane.api.wire import protobuf

        return protobuf.decode(request.body), []
    raise errors.UnsupportedMediaType(
        media_type, (negotiate.JSON, negotiate.YAML, negotiate.PROTOBUF)
    )


def _load_yaml(body: bytes) -> tuple[Any, list[str]]:
    if body.lstrip()[:1] in (b"{", b"["):
        value, problems = strict.loads(body)
        if not problems:
            return value, problems
    loader = _Loader(body)
    try:
        # Compat: what follows the first document is not looked at.
        value = _with_text_keys(loader.get_data()) if loader.check_data() else None
        if not loader.duplicates:
            return value, []
        return value, [_YAML_PROBLEMS + "  " + "\n  ".join(loader.duplicates)]
    except (yaml.YAMLError, RecursionError) as error:
        raise errors.BadRequest(f"error converting YAML to JSON: {_yaml_problem(error)}") from error
    finally:
        loader.dispose()


def _with_text_keys(value: Any) -> Any:
    """YAML's value as JSON has it, where keys are text."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else _key_text(key): _with_text_keys(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    return value


def _key_text(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _yaml_problem(error: Exception) -> str:
    """The problem with its line, in the words of the original's YAML library."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"yaml: {error}"
    mark, line = error.problem_mark, 0
    if mark is not None and mark.line:
        line = mark.line + (1 if isinstance(error, yaml.scanner.ScannerError) else 0)
    elif error.context_mark is not None:
        line = error.context_mark.line
    return f"yaml: line {line}: {error.problem}" if line else f"yaml: {error.problem}"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON has it: timestamps stay text. Keys that stand twice are told as the original's library does."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.duplicates: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                found = self.construct_object(key)
                shown = json.dumps(found, ensure_ascii=False) if isinstance(found, str) else None
                shown = shown or _key_text(found)
                if shown in seen:
                    line = value.start_mark.line + 1
                    self.duplicates.append(f"line {line}: key {shown} already set in map")
                seen.add(shown)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Compat: the original reads YAML 1.1, in which these letters alone are booleans.
_Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))


def parse_object(request: Request, kind: Kind) -> Obj:
    """The body as an object of `kind`."""
    try:
        value, problems = parse(request)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            shown = strict.json_type(value)
            raise errors.BadRequest(
                "couldn't get version/kind; json parse error: json: cannot unmarshal "
                f"{shown} into Go value of type struct {{ APIVersion string "
                '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
            )
    except errors.BadRequest as error:
        raise errors.BadRequest(
            f"the object provided is unrecognized (must be of type {kind.resource.kind}): "
            f"{error.message} ({_summary(request.body)})"
        ) from error
    return checked(request, value, kind, problems)


# How much of a body that cannot be read is shown.
_SHOWN_BYTES = 30


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > _SHOWN_BYTES else ""
    start = body[:_SHOWN_BYTES]
    return (start.decode(errors="replace") if body[:1] == b"{" else start.hex()) + more


_OWN_SCHEMES = {
    "apiextensions.k8s.io": "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:55",
    "apiregistration.k8s.io": "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:28",
}
"""Groups whose server in the original knows no types but its own, as its messages name them."""


def _check_type(obj: Obj, kind: Kind) -> None:
    """Refuse an object of another type, in the original's words; what it does not say is filled in."""
    row = kind.resource
    api_version, name = row.group_version, row.kind
    given = (obj.get("apiVersion") or api_version, obj.get("kind") or name)
    obj["apiVersion"], obj["kind"] = given
    if given == (api_version, name):
        return
    if kind.own_schema is not None:
        what, mine, theirs = ("API version", api_version, given[0])
        if given[0] == api_version:
            what, mine, theirs = ("kind", name, given[1])
        raise errors.BadRequest(
            f"the {what} in the data ({theirs}) does not match the expected {what} ({mine})"
        )
    version = str(given[0]).rpartition("/")[2]
    start = f'{given[1]} in version "{version}" cannot be handled as a {name}: '
    scheme = _OWN_SCHEMES.get(row.group)
    if scheme or messages.message_of(str(given[0]), str(given[1])) is None:
        raise errors.BadRequest(
            f'{start}no kind "{given[1]}" is registered for version "{given[0]}" in scheme '
            f'"{scheme or "pkg/api/legacyscheme/scheme.go:30"}"'
        )
    # Compat: events have one internal type in both groups.
    package = "core" if name == "Event" else row.group.partition(".")[0] or "core"
    raise errors.BadRequest(
        f"{start}converting ({version}.{given[1]}) to ({package}.{name}): unknown conversion"
    )


def checked(request: Request, obj: Obj, kind: Kind, problems: list[str] | None = None) -> Obj:
    """`obj` with its kind known, unknown fields dealt with as `fieldValidation` says, types right."""
    _check_type(obj, kind)
    name = kind.resource.kind
    if meta.is_reset_of_owners(obj):
        # An empty list would vanish with the other empty ones.
        obj["metadata"]["managedFields"] = [{}]
    # Some kinds are decoded in place, and with that go the places of what they do not have.
    given = deepcopy(obj) if problems else {}
    try:
        made, unknown = decoded(obj, kind)
    except MalformedError as error:
        raise errors.BadRequest(
            f'{name} in version "{kind.resource.version}" cannot be handled as a {name}: {error}'
        ) from None
    found = strict.in_order([*problems, *unknown], given) if problems else unknown
    mode = request.option("fieldValidation") or "Warn"
    if found and mode == "Strict":
        raise strict.strict_error(found, name, kind.resource.group_version)
    if mode == "Warn":
        request.warnings.extend(as_warnings(found))
    return made


def as_warnings(problems: Sequence[str]) -> list[str]:
    """A warning a problem: what the YAML library found comes in lines of one text."""
    return [
        line.strip()
        for problem in problems
        for line in problem.rpartition(_YAML_PROBLEMS)[2].split("\n")
    ]


def decoded(obj: Obj, kind: Kind) -> tuple[Obj, list[str]]:
    """(`obj` as the kind's type keeps it, `unknown field "x"` problems); MalformedError for values of wrong types."""
    form = kind.form
    if form is not None:
        made, has_unknown = normal.normalize(obj, form)
        if not has_unknown:
            return made, []
        return made, [f'unknown field "{path}"' for path in normal.unknown_fields(obj, form)]
    if kind.read is not None:
        problems = [f'unknown field "{path}"' for path in kind.read(obj)]
    else:
        wrong = strict.type_errors(obj, kind.schema)
        if wrong:
            raise MalformedError(wrong[0])
        problems = strict.prune(obj, kind.schema)
    fields = normal.compiled(messages.OBJECT_META)
    metadata = obj.get("metadata") or {}
    obj["metadata"], has_unknown = normal.normalize(metadata, fields)
    if has_unknown:
        problems += [
            f'unknown field "metadata.{path}"' for path in normal.unknown_fields(metadata, fields)
        ]
    return obj, problems
