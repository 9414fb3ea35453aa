"""Objects -> responses, in the form the client has asked for: JSON or YAML, whole, Table or metadata only."""

from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.table import render as tables
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import JSON, YAML, Form, reply_form
from kvstore.base.clock import Clock


def encode(status: int, content: Any, form: Form) -> Response:
    """`content` in the form's media type."""
    if form.media_type == YAML:
        text = yaml.dump(content, sort_keys=False, Dumper=yaml.SafeDumper)
        return Response(status, text.encode(), YAML)
    return Response(status, msgspec.json.encode(content), JSON)


def one(request: Request, kind: Kind, obj: Obj, clock: Clock, status: int = 200) -> Response:
    """An object."""
    form = reply_form(request.headers.get("accept", ""))
    return encode(status, transformed(request, kind, obj, form, clock), form)


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
            {"resourceVersion": version},
            now=clock.time(),
            include_object=request.option("includeObject", "Metadata"),
            with_columns=with_columns,
            version=form.transform_version,
        )
    if form.transform:
        return tables.partial_metadata(obj, form.transform_version)
    return obj


def many(
    request: Request, kind: Kind, objects: Sequence[Obj], list_meta: Obj, clock: Clock
) -> Response:
    """A list of objects."""
    form = reply_form(request.headers.get("accept", ""))
    if form.transform == "Table":
        content = tables.to_table(
            kind,
            objects,
            list_meta,
            now=clock.time(),
            include_object=request.option("includeObject", "Metadata"),
            version=form.transform_version,
        )
    elif form.transform:
        content = tables.partial_metadata_list(objects, list_meta, form.transform_version)
    else:
        content = {
            "kind": kind.resource.list_kind,
            "apiVersion": kind.resource.group_version,
            "metadata": list_meta,
            "items": objects,
        }
    return encode(200, content, form)


def status(request: Request, content: Obj, code: int = 200) -> Response:
    """A metav1.Status."""
    form = reply_form(request.headers.get("accept", "") or "*/*", can_transform=False)
    return encode(code, content, form)
