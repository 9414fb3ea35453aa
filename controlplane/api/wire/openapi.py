"""OpenAPI v2 and v3 documents of the served kinds, built on demand and kept as bytes.

Definitions come from schema.read_definitions(); paths are made from the scheme. kubectl reads from
them: field descriptions (explain), merge keys (apply, edit), and whether the PATCH of a kind takes
the query parameters `dryRun` and `fieldValidation` (validation by the server).
Version 2 is also encoded as protobuf by openapi_v2, the form kubectl asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.schema.builtin import (
    INT_OR_STRING,
    KUBERNETES_VERSION,
    QUANTITY,
    read_definitions,
)
from controlplane.api.scheme import Scheme
from controlplane.api.wire import openapi_custom

_TEXT = ("string", "")
_FLAG = ("boolean", "")
_NUMBER = ("integer", "int32")
_WRITE_PARAMETERS = {
    "dryRun": "When present, indicates that modifications should not be persisted. Valid: All.",
    "fieldManager": "The name of the actor or entity that is making these changes.",
    "fieldValidation": "How to treat unknown or duplicate fields: Ignore, Warn or Strict.",
}
_LIST_PARAMETERS = {
    "allowWatchBookmarks": "Whether a watch may send BOOKMARK events.",
    "continue": "The token of the next page, from the last reply.",
    "fieldSelector": "Restrict the objects by their fields.",
    "labelSelector": "Restrict the objects by their labels.",
    "limit": "The largest number of objects in one reply.",
    "resourceVersion": "How fresh the data must be.",
    "resourceVersionMatch": "How resourceVersion is applied to a list.",
    "sendInitialEvents": "Whether a watch starts with the present objects.",
    "timeoutSeconds": "When to end the call.",
    "watch": "Stream changes instead of a list.",
}
_DELETE_PARAMETERS = {
    "dryRun": _WRITE_PARAMETERS["dryRun"],
    "gracePeriodSeconds": "Seconds before the object is deleted.",
    "propagationPolicy": "Orphan, Background or Foreground.",
}
_FORCE = {"force": "Take fields from other managers when applying."}
_TYPES = {
    "allowWatchBookmarks": _FLAG,
    "sendInitialEvents": _FLAG,
    "watch": _FLAG,
    "force": _FLAG,
    "limit": _NUMBER,
    "timeoutSeconds": _NUMBER,
    "gracePeriodSeconds": _NUMBER,
}
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
# verb -> (HTTP method, x-kubernetes-action, query parameters)
_VERBS: dict[str, tuple[str, str, dict[str, str]]] = {
    "get": ("get", "get", {}),
    "list": ("get", "list", _LIST_PARAMETERS),
    "create": ("post", "post", _WRITE_PARAMETERS),
    "update": ("put", "put", _WRITE_PARAMETERS),
    "patch": ("patch", "patch", {**_WRITE_PARAMETERS, **_FORCE}),
    "delete": ("delete", "delete", _DELETE_PARAMETERS),
    "deletecollection": ("delete", "deletecollection", {**_LIST_PARAMETERS, **_DELETE_PARAMETERS}),
}
_COLLECTION_VERBS = ("list", "create", "deletecollection")


def _definition(row: Resource, kind: str, definitions: Obj) -> str | None:
    for name, body in definitions.items():
        for gvk in body.get("x-kubernetes-group-version-kind", ()):
            if (gvk["group"], gvk["version"], gvk["kind"]) == (row.group, row.version, kind):
                return str(name)
    return None


class _Paths:
    """Builds the `paths` object; `style` turns pieces into the words of one OpenAPI version."""

    def __init__(self, definitions: Obj, version: int) -> None:
        self._definitions = definitions
        self._version = version
        self._prefix = "#/definitions/" if version == 2 else "#/components/schemas/"

    def of(self, row: Resource) -> Obj:
        base = row.base_path
        scopes = [f"{base}/namespaces/{{namespace}}/{row.plural}"] if row.namespaced else []
        paths: Obj = {}
        if row.namespaced:
            paths[f"{base}/{row.plural}"] = self._item(row, ("list",), "", row.kind, "")
        else:
            scopes = [f"{base}/{row.plural}"]
        for path in scopes:
            collection = tuple(v for v in _COLLECTION_VERBS if v in row.verbs)
            single = tuple(v for v in row.verbs if v in _VERBS and v not in _COLLECTION_VERBS)
            paths[path] = self._item(row, collection, path, row.kind, "")
            name = path + "/{name}"
            paths[name] = self._item(row, single, name, row.kind, "")
            for sub in row.subresources:
                where = f"{name}/{sub.name}"
                kind = sub.kind or row.kind
                verbs = tuple(v for v in sub.verbs if v in _VERBS)
                paths[where] = self._item(row, verbs, where, kind, sub.name)
        return paths

    def _item(
        self, row: Resource, verbs: tuple[str, ...], path: str, kind: str, subresource: str
    ) -> Obj:
        item: Obj = {}
        sub = row.subresource(subresource) if subresource else None
        gvk = {
            "group": sub.group if sub and sub.kind else row.group,
            "kind": kind,
            "version": (sub.version or "v1") if sub and sub.kind else row.version,
        }
        for verb in verbs:
            method, action, query = _VERBS[verb]
            operation = self._operation(row, verb, path, subresource, gvk)
            operation["parameters"] = [self._query(n, text) for n, text in query.items()]
            if verb in ("create", "update", "patch"):
                self._add_body(operation, verb, gvk)
            operation["x-kubernetes-action"] = action
            operation["x-kubernetes-group-version-kind"] = gvk
            item[method] = operation
        parameters = []
        for name in ("name", "namespace"):
            if "{" + name + "}" in path:
                parameters.append(
                    self._typed({"name": name, "in": "path", "required": True}, "string", "")
                )
        if parameters:
            item["parameters"] = parameters
        return item

    def _operation(self, row: Resource, verb: str, path: str, subresource: str, gvk: Obj) -> Obj:
        group = "".join(p.capitalize() for p in row.group.split(".")[0].split("-")) or "Core"
        scope = "Namespaced" if "{namespace}" in path else ""
        suffix = "ForAllNamespaces" if row.namespaced and not path else ""
        shown = {"get": "read", "update": "replace", "deletecollection": "deleteCollection"}
        identity = (
            f"{shown.get(verb, verb)}{group}{row.version.capitalize()}{scope}{row.kind}"
            f"{subresource.capitalize()}{suffix}"
        )
        kind = row.list_kind if verb == "list" else gvk["kind"]
        name = self._name(gvk, kind)
        response: Obj = {"description": "OK"}
        if name:
            if self._version == 2:
                response["schema"] = {"$ref": self._prefix + name}
            else:
                response["content"] = {
                    "application/json": {"schema": {"$ref": self._prefix + name}}
                }
        operation: Obj = {
            "description": f"{verb} {row.plural}{'/' + subresource if subresource else ''}",
            "operationId": identity,
            "responses": {"200": response},
            "tags": [f"{(row.group or 'core').split('.')[0]}_{row.version}"],
        }
        if self._version == 2:
            operation["consumes"] = list(_PATCH_TYPES) if verb == "patch" else ["*/*"]
            operation["produces"] = ["application/json"]
            operation["schemes"] = ["https"]
        return operation

    def _add_body(self, operation: Obj, verb: str, gvk: Obj) -> None:
        name = (
            "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
            if verb == "patch"
            else self._name(gvk, gvk["kind"])
        )
        schema = {"$ref": self._prefix + name} if name else {"type": "object"}
        if self._version == 2:
            operation["parameters"].insert(
                0, {"name": "body", "in": "body", "required": True, "schema": schema}
            )
        else:
            types = _PATCH_TYPES if verb == "patch" else ("*/*",)
            operation["requestBody"] = {
                "required": True,
                "content": {media: {"schema": schema} for media in types},
            }

    def _name(self, gvk: Obj, kind: str) -> str | None:
        for name, body in self._definitions.items():
            for row in body.get("x-kubernetes-group-version-kind", ()):
                if (row["group"], row["version"], row["kind"]) == (
                    gvk["group"],
                    gvk["version"],
                    kind,
                ):
                    return str(name)
        return None

    def _query(self, name: str, text: str) -> Obj:
        kind, form = _TYPES.get(name, _TEXT)
        return self._typed({"name": name, "in": "query", "description": text}, kind, form)

    def _typed(self, parameter: Obj, kind: str, form: str) -> Obj:
        schema: Obj = {"type": kind, "uniqueItems": True}
        if form == "int32" and self._version == 3:
            schema["format"] = form
        if self._version == 2:
            return {**parameter, **schema}
        return {**parameter, "schema": schema}


def _info() -> Obj:
    return {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"}


def _rewrite(value: Any, reference: Callable[[Obj], Obj]) -> Any:
    if isinstance(value, list):
        return [_rewrite(item, reference) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _rewrite(item, reference) for key, item in value.items()}
    if isinstance(value.get("$ref"), str):
        return reference(result)
    return result


def _v2_reference(value: Obj) -> Obj:
    return {**value, "$ref": "#/definitions/" + value["$ref"]}


def _v3_reference(value: Obj) -> Obj:
    # Version 3.0 ignores what stands beside a $ref, so upstream wraps it; kubectl expects that.
    rest = {key: item for key, item in value.items() if key != "$ref"}
    link = {"$ref": "#/components/schemas/" + value["$ref"]}
    return {**rest, "allOf": [link]} if rest else link


def _definitions(scheme: Scheme, version: int) -> Obj:
    found: Obj = read_definitions(
        (row.group, row.version, kind) for row in scheme for kind in (row.kind, row.list_kind)
    )
    for kind in scheme.kinds:
        found.update(openapi_custom.definitions(kind, version))
    return found


class Documents:
    """The documents of one scheme, made at the first question and kept as bytes."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def v2_document(self) -> Obj:
        """The whole API as an OpenAPI 2 document. Large: made for each call, not kept."""
        definitions = _definitions(self._scheme, 2)
        builder = _Paths(definitions, 2)
        paths: Obj = {}
        for row in self._scheme:
            paths.update(builder.of(row))
        rewritten = {name: _rewrite(body, _v2_reference) for name, body in definitions.items()}
        return {"swagger": "2.0", "info": _info(), "paths": paths, "definitions": rewritten}

    @cached_property
    def v2_json(self) -> bytes:
        """The OpenAPI 2 document as JSON."""
        return json.dumps(self.v2_document(), separators=(",", ":")).encode()

    @cached_property
    def v2_protobuf(self) -> bytes:
        """The OpenAPI 2 document as gnostic's openapi.v2.Document."""
        from controlplane.api.wire import openapi_v2

        return openapi_v2.encode_document(self.v2_document())

    @cached_property
    def _v3(self) -> dict[str, bytes]:
        return _v3_documents(self._scheme)

    def v3_document(self, path: str) -> bytes | None:
        """The document of one group version (`api/v1`, `apis/apps/v1`); None when not served."""
        return self._v3.get(path)

    def v3_hash(self, path: str) -> str:
        """The document's hash, upper-case hexadecimal, for `?hash=` and ETag."""
        return hashlib.sha512(self._v3[path]).hexdigest().upper()

    @cached_property
    def v3_index(self) -> bytes:
        """The answer to GET /openapi/v3."""
        paths = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self.v3_hash(path)}"}
            for path in self._v3
        }
        return json.dumps({"paths": paths}, separators=(",", ":")).encode()


class MergedDocuments(Documents):
    """Another's documents, of which version 2 has more in it: `merge` makes that of the other's."""

    def __init__(self, own: Documents, merge: Callable[[Obj], Obj]) -> None:
        super().__init__(own._scheme)
        self._own = own
        self._merge = merge

    def v2_document(self) -> Obj:
        """See `Documents.v2_document`."""
        return self._merge(self._own.v2_document())


def _path_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _v3_documents(scheme: Scheme) -> dict[str, bytes]:
    definitions = _definitions(scheme, 3)
    documents = {}
    for group, version in scheme.group_versions():
        builder = _Paths(definitions, 3)
        paths: Obj = {}
        rows = scheme.in_group_version(group, version)
        for row in rows:
            paths.update(builder.of(row))
        wanted = [
            name
            for row in rows
            for kind in (row.kind, row.list_kind, *(s.kind for s in row.subresources))
            if (name := _definition(row, kind, definitions)) is not None
        ]
        schemas: Obj = {}
        text = json.dumps(paths)
        wanted += [name for name in definitions if f'"#/components/schemas/{name}"' in text]
        while wanted:
            name = wanted.pop()
            if name in schemas:
                continue
            schemas[name] = _v3_definition(name, definitions[name])
            wanted += _names_in(definitions[name])
        document = {
            "openapi": "3.0.0",
            "info": _info(),
            "paths": paths,
            "components": {"schemas": dict(sorted(schemas.items()))},
        }
        documents[_path_of(group, version)] = json.dumps(document, separators=(",", ":")).encode()
    return documents


def _v3_definition(name: str, body: Obj) -> Obj:
    if name == INT_OR_STRING:
        return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
    if name == QUANTITY:
        return {
            "description": body.get("description", ""),
            "oneOf": [{"type": "string"}, {"type": "number"}],
        }
    rewritten: Obj = _rewrite(body, _v3_reference)
    return rewritten


def _names_in(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _names_in(item)]
    if not isinstance(value, dict):
        return []
    found = [name for item in value.values() for name in _names_in(item)]
    if isinstance(value.get("$ref"), str):
        found.append(value["$ref"])
    return found
