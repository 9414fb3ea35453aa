"""Objects -> responses, in the form the client has asked for: JSON, YAML or protobuf, whole, Table or metadata only."""

from collections.abc import Sequence
from typing import Any

import msgspec

from controlplane.api import errors
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.table import render as tables
from controlplane.api.wire import yaml
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import (
    JSON,
    PROTOBUF,
    YAML,
    Form,
    check_route,
    reply_form,
    wants_pretty,
)
from controlplane.apiserver.requests.item_texts import ItemTexts, without_type
from kvstore.base.clock import Clock

# The order in which people are used to see an object.
_FIRST = ("kind", "apiVersion", "metadata")


def encode(request: Request, status: int, content: Any, form: Form) -> Response:
    """`content` in the form's media type."""
    if form.media_type == YAML:
        return Response(status, yaml.encode(content), YAML)
    if form.media_type == PROTOBUF:
        from controlplane.api.wire import protobuf

        return Response(status, protobuf.encode(content), PROTOBUF)
    return Response(status, json_text(request, content, form) + b"\n", JSON)


def json_text(request: Request, content: Any, form: Form) -> bytes:
    """The JSON of `content`, indented where the client wants it so."""
    agent = request.headers.get("user-agent", "")
    if not (form.is_pretty or wants_pretty(request.option("pretty"), agent)):
        return msgspec.json.encode(content)
    if isinstance(content, dict):
        first = {key: content[key] for key in _FIRST if key in content}
        content = {**first, **content}
    return msgspec.json.format(msgspec.json.encode(content), indent=2)


def form_of(request: Request, kind: Kind, *, has_table: bool = True) -> Form:
    """What the client wants an object or list of `kind` to be."""
    accept, is_built_in = request.headers.get("accept", ""), kind.own_schema is None
    if is_built_in:
        has_streams = request.method == "GET" and not request.info.name
        check_route(accept, with_streams=has_streams)
    form = reply_form(accept, has_table=has_table, has_protobuf=is_built_in)
    if form.transform == "Table":
        include_object(request)
    return form


def include_object(request: Request) -> str:
    """What a Table's rows carry; BadRequest for what they cannot."""
    wanted = request.option("includeObject") or tables.INCLUDE_METADATA
    if wanted not in tables.INCLUDE_VALUES:
        raise errors.BadRequest(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"\"{wanted}\": must be 'Metadata', 'Object', 'None', or empty"
        )
    return wanted


def one(request: Request, kind: Kind, obj: Obj, clock: Clock, status: int = 200) -> Response:
    """An object."""
    form = form_of(request, kind)
    if form.transform == "PartialObjectMetadataList":
        raise errors.NotAcceptable(
            "you requested PartialObjectMetadataList, but the requested object is not a list "
            f"({_go_type(kind, kind.resource.kind)})"
        )
    return encode(request, status, transformed(request, kind, obj, form, clock), form)


def _go_type(kind: Kind, name: str) -> str:
    """The Go type as the original's message names it: the unversioned one of the group's package."""
    return f"*{kind.resource.group.partition('.')[0] or 'core'}.{name}"


def transformed(
    request: Request,
    kind: Kind,
    obj: Obj,
    form: Form,
    clock: Clock,
    *,
    with_columns: bool = True,
) -> Obj:
    """`obj` as the form wants it."""
    if form.transform == "Table":
        version = obj.get("metadata", {}).get("resourceVersion", "")
        return tables.to_table(
            kind,
            [obj],
            {"resourceVersion": version} if version else {},
            now=clock.time(),
            include_object=include_object(request),
            with_columns=with_columns,
            version=form.transform_version,
        )
    if form.transform:
        return tables.partial_metadata(obj, form.transform_version)
    return obj


def many(
    request: Request,
    kind: Kind,
    objects: Sequence[Obj],
    list_meta: Obj,
    clock: Clock,
    texts: ItemTexts | None = None,
) -> Response:
    """A list of objects; with `texts` they are shared ones, which are not written twice."""
    form = form_of(request, kind)
    if form.transform == "PartialObjectMetadata":
        raise errors.NotAcceptable(
            "you requested PartialObjectMetadata, but the requested object is a list "
            f"({_go_type(kind, kind.resource.list_kind)})"
        )
    if form.transform == "Table":
        content = tables.to_table(
            kind,
            objects,
            list_meta,
            now=clock.time(),
            include_object=include_object(request),
            version=form.transform_version,
        )
    elif form.transform:
        content = tables.partial_metadata_list(objects, list_meta, form.transform_version)
    else:
        has_types = kind.own_schema is not None
        items: list[Any]
        if texts is not None and form.media_type == JSON:
            items = [texts.of(obj, has_types) for obj in objects]
        else:
            items = [obj if has_types else without_type(obj) for obj in objects]
        content = {
            "kind": kind.resource.list_kind,
            "apiVersion": kind.resource.group_version,
            # Compat: lists of custom resources always say how they go on.
            "metadata": {"continue": "", **list_meta} if has_types else list_meta,
            "items": items,
        }
    return encode(request, 200, content, form)


def status(request: Request, content: Obj, code: int = 200) -> Response:
    """A metav1.Status, in JSON when the client accepts nothing that it could be."""
    accept = request.headers.get("accept", "")
    try:
        form = reply_form(accept, can_transform=False)
    except errors.NotAcceptable:
        form = Form()
    return encode(request, code, content, form)
