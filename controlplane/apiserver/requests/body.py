"""Request bodies -> objects: JSON, YAML or protobuf, checked against the schema as `fieldValidation` asks."""

from typing import Any

import yaml

from controlplane.api import errors
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.schema import messages, normal, strict
from controlplane.api.schema.values import MalformedError
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Request

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
        return strict.loads(body)
    try:
        return yaml.load(body, Loader=_Loader), []
    except yaml.YAMLError as error:
        raise errors.BadRequest(f"error converting YAML to JSON: {error}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON has it: timestamps stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_object(request: Request, kind: Kind) -> Obj:
    """The body as an object of `kind`."""
    value, problems = parse(request)
    if not isinstance(value, dict):
        raise errors.BadRequest("the object provided is unrecognized: it is not an object")
    return checked(request, value, kind, problems)


def checked(
    request: Request,
    obj: Obj,
    kind: Kind,
    problems: list[str] | None = None,
    *,
    is_partial: bool = False,
) -> Obj:
    """`obj` with its kind known, unknown fields dealt with as `fieldValidation` says, types right.

    A partial object, such as what is applied, keeps just the fields it was sent with.
    """
    api_version, name = kind.resource.group_version, kind.resource.kind
    given = (obj.setdefault("apiVersion", api_version), obj.setdefault("kind", name))
    if given != (api_version, name):
        group, _, version = str(given[0]).rpartition("/")
        raise errors.BadRequest(
            f'{given[1]} in version "{version}" (group "{group}") cannot be handled as a {name}: '
            f"the API version in the data ({given[0]}) does not match the expected API version "
            f"({api_version})"
            if given[0] != api_version
            else f"the kind in the data ({given[1]}) does not match the expected kind ({name})"
        )
    try:
        made, unknown = decoded(obj, kind)
    except MalformedError as error:
        raise errors.BadRequest(
            f'{name} in version "{kind.resource.version}" cannot be handled as a {name}: {error}'
        ) from None
    found = [*(problems or ()), *unknown]
    mode = request.option("fieldValidation", "Warn")
    if mode not in ("Strict", "Warn", "Ignore"):
        raise errors.BadRequest(f'invalid fieldValidation "{mode}": must be Ignore, Warn or Strict')
    if found and mode == "Strict":
        raise strict.strict_error(found, name, api_version)
    if mode == "Warn":
        request.warnings.extend(found)
    if is_partial:
        strict.prune(obj, kind.schema)
        return obj
    return made


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
