"""/api and /apis: what is served, plain or aggregated, as the Accept header asks."""

import hashlib

import msgspec

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.wire import discovery
from controlplane.apiserver.aggregation import merging
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import (
    FORMS,
    JSON,
    PROTOBUF,
    not_acceptable,
    parse_accept,
    reply_form,
)
from controlplane.apiserver.requests import render
from controlplane.apiserver.served import Server


async def handle(server: Server, request: Request) -> Response:
    """A discovery document."""
    scheme = server.scheme
    words = [part for part in request.path.split("/") if part]
    if len(words) == 1:
        return _root(server, request, is_legacy=words[0] == "api")
    content = None
    if words[0] == "api" and len(words) == 2:
        content = discovery.api_resource_list(scheme, "", words[1])
    elif words[0] == "apis" and len(words) == 2:
        content = _group(server, words[1])
    elif words[0] == "apis" and len(words) == 3:
        content = discovery.api_resource_list(scheme, words[1], words[2])
    if content is None:
        raise errors.NotFound.path()
    return _plain(request, content)


def _group(server: Server, name: str) -> Obj | None:
    own = discovery.api_group(server.scheme, name)
    remotes = [one for one in server.directory.remotes() if one.group == name]
    if not remotes:
        return own
    merged = merging.groups([own] if own else [], remotes, server.directory.priorities())
    return {"kind": "APIGroup", "apiVersion": "v1", **merged[0]}


def _groups(server: Server) -> Obj:
    content = discovery.api_group_list(server.scheme)
    remotes = server.directory.remotes()
    if remotes:
        priorities = server.directory.priorities()
        content["groups"] = merging.groups(content["groups"], remotes, priorities)
    return content


def _aggregated_groups(server: Server, version: str) -> Obj:
    content = discovery.aggregated(server.scheme, version, legacy=False)
    remotes = server.directory.remotes()
    if remotes:
        others = [(one, server.remote_documents.entry(one)) for one in remotes]
        priorities = server.directory.priorities()
        content["items"] = merging.aggregated(content["items"], others, priorities)
    return content


def _root(server: Server, request: Request, *, is_legacy: bool) -> Response:
    scheme = server.scheme
    for wanted in parse_accept(request.headers.get("accept", "")):
        if wanted.type not in (JSON, PROTOBUF):
            if wanted.type in (*FORMS, "*/*") and "as" not in wanted.params:
                break
            continue
        version = wanted.params.get("v", "")
        is_aggregated = (
            wanted.params.get("g") == "apidiscovery.k8s.io"
            and wanted.params.get("as") == "APIGroupDiscoveryList"
        )
        # Compat: a version the client has not named is one it cannot read.
        if is_aggregated and version in discovery.AGGREGATED_VERSIONS:
            if is_legacy:
                content = discovery.aggregated(scheme, version, legacy=True)
            else:
                content = _aggregated_groups(server, version)
            return _aggregated(request, content, wanted.type, version)
        if "as" not in wanted.params:
            break
    if is_legacy:
        return _plain(request, discovery.api_versions(scheme, server.address))
    return _plain(request, _groups(server))


def _aggregated(request: Request, content: Obj, media_type: str, version: str) -> Response:
    body = msgspec.json.encode(content)
    tag = '"' + hashlib.sha512(body).hexdigest().upper() + '"'
    headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
    if request.headers.get("if-none-match") == tag:
        return Response(304, b"", "", headers)
    if media_type == PROTOBUF:
        from controlplane.api.wire import protobuf

        body = protobuf.encode(content)
    return Response(200, body, discovery.aggregated_media_type(version, media_type), headers)


def _plain(request: Request, content: Obj) -> Response:
    form = reply_form(request.headers.get("accept", ""))
    if form.transform:
        raise not_acceptable(FORMS)
    if form.media_type == PROTOBUF:
        content = {"apiVersion": "v1", **content}
    return render.encode(request, 200, content, form)
