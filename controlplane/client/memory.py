"""An API server in memory, for tests of clients and controllers without sockets.

Speaks through the Transport protocol: create, get, list with selectors and pages, watch and 410, update, merge
and a little strategic patch, delete with finalizers, grace and preconditions, `status`, `binding`, `eviction` and
`finalize`. It has no defaulting, validation or admission. Faults on demand: `down`, `break_watches`, `compact`,
`intercept`.
"""

import asyncio
import copy
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import (
    AlreadyExists,
    APIError,
    BadRequest,
    Conflict,
    Expired,
    Invalid,
    NotFound,
    success,
)
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme
from controlplane.api.selectors import parse_field_selector, parse_label_selector
from controlplane.api.times import to_rfc3339
from controlplane.api.wire import discovery
from controlplane.client.transport import LineStream, Request, Response, TransportError
from controlplane.kinds.catalog import SCHEME
from kvstore.base.clock import Clock

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class MemoryApi:
    """Objects, their history, and a Transport to them."""

    def __init__(self, clock: Clock, *, seed: int = 1) -> None:
        self.clock = clock
        self.revision = 100
        self.down = False
        self.requests: list[tuple[str, str]] = []
        self.intercept: Callable[[Request], None] | None = (
            None  # may raise APIError or TransportError
        )
        self._rng = random.Random(seed)
        self.scheme = SCHEME  # replace it to serve other kinds; refreshed discovery shows them
        self._objects: dict[tuple[str, str, str], Obj] = {}
        self._history: list[tuple[int, str, str, Obj]] = []
        self._compacted = 0
        self._changed = asyncio.Event()
        self._watch_generation = 0

    # ---- faults ----

    def break_watches(self) -> None:
        """End every open watch as a lost connection would."""
        self._watch_generation += 1
        self._wake()

    def compact(self) -> None:
        """Forget all history: resuming from any earlier revision is answered with 410."""
        self._compacted = self.revision
        self._history.clear()

    # ---- Transport ----

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        await asyncio.sleep(0)
        self.requests.append((request.method, request.path))
        if self.down:
            raise TransportError("down", outcome_known=True)
        try:
            if self.intercept is not None:
                self.intercept(request)
            code, reply = self._handle(request)
        except APIError as error:
            code, reply = error.status_code, error.status()
        return Response(code, json.dumps(reply).encode())

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[LineStream]:
        """See `Transport.stream`."""
        await asyncio.sleep(0)
        self.requests.append(("WATCH", request.path))
        if self.down:
            raise TransportError("down", outcome_known=True)
        yield _MemoryStream(self, request)

    async def close(self) -> None:
        """Nothing to give back."""

    # ---- direct access for tests ----

    def objects(self, kind: str, namespace: str = "") -> list[Obj]:
        """Copies of the stored objects of a kind."""
        resource = self.scheme.of(kind)
        return [
            copy.deepcopy(obj)
            for (plural, place, _), obj in self._objects.items()
            if plural == resource.group_resource and namespace in ("", place)
        ]

    def object(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        """A copy of one object, or None."""
        found = self._objects.get((self.scheme.of(kind).group_resource, namespace, name))
        return copy.deepcopy(found)

    def put(self, kind: str, obj: Obj) -> Obj:
        """Create or replace whole (status included), as a test wants it."""
        resource = self.scheme.of(kind)
        obj = copy.deepcopy(obj)
        key = (resource.group_resource, meta.namespace(obj), meta.name(obj))
        old = self._objects.get(key)
        self._prepare(resource, obj)
        self._store(resource, key, obj, "MODIFIED" if old else "ADDED")
        return copy.deepcopy(obj)

    def change(self, kind: str, name: str, namespace: str, edit: Callable[[Obj], None]) -> None:
        """Edit a stored object in place, status included."""
        obj = self.object(kind, name, namespace)
        assert obj is not None
        edit(obj)
        self.put(kind, obj)

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Take an object away at once, as the end of its grace would."""
        resource = self.scheme.of(kind)
        key = (resource.group_resource, namespace, name)
        self._erase(resource, key, self._objects[key])

    # ---- verbs ----

    def _handle(self, request: Request) -> tuple[int, Obj]:
        if request.path in ("/api", "/apis"):
            return 200, discovery.aggregated(self.scheme, "v2", legacy=request.path == "/api")
        resource, namespace, name, subresource = _route(request.path, self.scheme)
        body: Any = json.loads(request.body) if request.body else None
        if request.method == "GET":
            if name:
                return 200, copy.deepcopy(self._find(resource, namespace, name))
            return 200, self._list(resource, namespace, dict(request.query))
        if request.method == "POST" and not name:
            return 201, self._create(resource, namespace, body)
        if request.method == "DELETE" and not name:
            for item in self._list(resource, namespace, dict(request.query))["items"]:
                self._delete(resource, item, body or {})
            return 200, success()
        obj = self._find(resource, namespace, name)
        if request.method == "POST":
            return 201, self._post_subresource(resource, obj, subresource, body)
        if request.method == "DELETE":
            return 200, self._delete(resource, obj, body or {})
        if request.method == "PATCH":
            strategic = "strategic" in request.content_type
            wanted = _merge(copy.deepcopy(obj), body, strategic=strategic)
            if meta.uid(wanted) != meta.uid(obj):
                raise Conflict.of(resource, name, "the UID in the precondition does not match")
            return 200, self._update(resource, obj, wanted, subresource)
        if request.method == "PUT":
            return 200, self._update(resource, obj, body, subresource)
        raise BadRequest(f"{request.method} is not known")

    def _find(self, resource: Resource, namespace: str, name: str) -> Obj:
        obj = self._objects.get((resource.group_resource, namespace, name))
        if obj is None:
            raise NotFound.of(resource, name)
        return obj

    def _list(self, resource: Resource, namespace: str, query: dict[str, str]) -> Obj:
        matches = _matcher(self.scheme, resource, namespace, query)
        items = [
            copy.deepcopy(obj)
            for (plural, _, _), obj in sorted(self._objects.items())
            if plural == resource.group_resource and matches(obj)
        ]
        metadata: Obj = {"resourceVersion": str(self.revision)}
        limit = int(query.get("limit", 0))
        revision, _, offset = query.get("continue", f"{self.revision}:0").partition(":")
        if int(revision) < self._compacted:
            raise Expired("The provided continue parameter is too old")
        if limit and len(items) > int(offset) + limit:
            metadata["continue"] = f"{revision}:{int(offset) + limit}"
        items = items[int(offset) : int(offset) + limit] if limit else items
        kind = resource.kind + "List"
        return {
            "apiVersion": resource.group_version, "kind": kind, "metadata": metadata, "items": items
        }  # fmt: skip

    def _create(self, resource: Resource, namespace: str, obj: Obj) -> Obj:
        metadata = obj["metadata"]
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                raise Invalid("name or generateName is required")
            metadata["name"] = metadata["generateName"] + "".join(self._rng.choices(_SUFFIX, k=5))
        if resource.namespaced:
            metadata["namespace"] = namespace
            home = self._objects.get(("namespaces", "", namespace))
            if home is not None and meta.is_deleting(home):
                raise APIError("namespace is being terminated", code=403)
        key = (resource.group_resource, namespace, metadata["name"])
        if key in self._objects:
            raise AlreadyExists.of(resource, metadata["name"])
        if metadata.get("resourceVersion"):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        if any(sub.name == "status" for sub in resource.subresources):
            obj.pop("status", None)
        self._prepare(resource, obj)
        if resource.kind == "Namespace":
            obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            obj["status"] = {"phase": "Active"}
        if resource.kind == "Pod":
            obj.setdefault("status", {"phase": "Pending"})
        self._store(resource, key, obj, "ADDED")
        return copy.deepcopy(obj)

    def _prepare(self, resource: Resource, obj: Obj) -> None:
        obj["apiVersion"], obj["kind"] = resource.group_version, resource.kind
        metadata = obj["metadata"]
        metadata.setdefault("uid", str(uuid.UUID(int=self._rng.getrandbits(128))))
        metadata.setdefault("creationTimestamp", to_rfc3339(self.clock.time()))
        metadata.setdefault("generation", 1)

    def _update(self, resource: Resource, old: Obj, wanted: Obj, subresource: str) -> Obj:
        name = meta.name(old)
        version = meta.resource_version(wanted)
        if version and version != meta.resource_version(old):
            raise Conflict.of(resource, name, "the object has been modified")
        new = copy.deepcopy(wanted)
        metadata = new["metadata"]
        for kept in ("uid", "creationTimestamp", "generation", "deletionTimestamp",
                     "deletionGracePeriodSeconds", "namespace"):  # fmt: skip
            if kept in old["metadata"]:
                metadata[kept] = old["metadata"][kept]
        if subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status") or {}}
        elif subresource == "finalize":
            new = {**copy.deepcopy(old), "spec": new.get("spec") or {}}
        elif any(sub.name == "status" for sub in resource.subresources) and "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        new["metadata"]["resourceVersion"] = meta.resource_version(old)
        if new == old:
            return copy.deepcopy(old)
        if new.get("spec") != old.get("spec") and subresource != "status":
            new["metadata"]["generation"] = meta.generation(old) + 1
        key = (resource.group_resource, meta.namespace(old), name)
        if meta.is_deleting(new) and self._may_go(new):
            self._erase(resource, key, new)
            return copy.deepcopy(new)
        self._store(resource, key, new, "MODIFIED")
        return copy.deepcopy(new)

    def _may_go(self, obj: Obj) -> bool:
        if meta.finalizers(obj) or obj["metadata"].get("deletionGracePeriodSeconds"):
            return False
        return not (obj["kind"] == "Namespace" and meta.spec(obj).get("finalizers"))

    def _delete(self, resource: Resource, old: Obj, options: Obj) -> Obj:
        conditions = options.get("preconditions") or {}
        for field, actual in (
            ("uid", meta.uid(old)),
            ("resourceVersion", meta.resource_version(old)),
        ):
            if conditions.get(field) and conditions[field] != actual:
                raise Conflict.of(resource, meta.name(old), f"Precondition failed: {field}")
        new = copy.deepcopy(old)
        metadata = new["metadata"]
        finalizers = metadata.setdefault("finalizers", [])
        added = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(
            options.get("propagationPolicy", "")
        )
        if added and added not in finalizers:
            finalizers.append(added)
        if not finalizers:
            del metadata["finalizers"]
        grace = 0
        if resource.kind == "Pod" and meta.spec(old).get("nodeName"):
            default = meta.spec(old).get("terminationGracePeriodSeconds", 30)
            asked = options.get("gracePeriodSeconds")
            grace = int(default if asked is None else asked)
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = to_rfc3339(self.clock.time() + grace)
        if resource.kind == "Pod":
            grace = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
            metadata["deletionGracePeriodSeconds"] = grace
        if resource.kind == "Namespace":
            new["status"] = {**meta.status(new), "phase": "Terminating"}
        key = (resource.group_resource, meta.namespace(old), meta.name(old))
        if self._may_go(new):
            self._erase(resource, key, new)
        elif new != old:
            self._store(resource, key, new, "MODIFIED")
        return copy.deepcopy(new)

    def _post_subresource(self, resource: Resource, obj: Obj, subresource: str, body: Obj) -> Obj:
        if subresource == "eviction":
            self._delete(resource, obj, body.get("deleteOptions") or {})
        elif subresource == "binding":
            bound = copy.deepcopy(obj)
            bound["spec"]["nodeName"] = body["target"]["name"]
            key = (resource.group_resource, meta.namespace(obj), meta.name(obj))
            self._store(resource, key, bound, "MODIFIED")
        else:
            raise NotFound.path()
        return success()

    # ---- store ----

    def _store(self, resource: Resource, key: tuple[str, str, str], obj: Obj, kind: str) -> None:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[key] = obj
        self._history.append((self.revision, key[0], kind, obj))
        self._wake()

    def _erase(self, resource: Resource, key: tuple[str, str, str], obj: Obj) -> None:
        self.revision += 1
        last = copy.deepcopy(obj)
        last["metadata"]["resourceVersion"] = str(self.revision)
        del self._objects[key]
        self._history.append((self.revision, key[0], "DELETED", last))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _MemoryStream:
    """A watch on a MemoryApi."""

    def __init__(self, api: MemoryApi, request: Request) -> None:
        self.status = 200
        self._api = api
        self._query = dict(request.query)
        self._resource, self._namespace, _, _ = _route(request.path, api.scheme)
        self._generation = api._watch_generation

    async def lines(self) -> AsyncIterator[bytes]:
        """See `LineStream.lines`."""
        api = self._api
        position = int(self._query.get("resourceVersion") or api.revision)
        if position < api._compacted:
            status = Expired.too_old(position, api._compacted).status()
            yield json.dumps({"type": "ERROR", "object": status}).encode()
            return
        matches = _matcher(api.scheme, self._resource, self._namespace, self._query)
        while True:
            for revision, plural, kind, obj in list(api._history):
                if revision <= position:
                    continue
                position = revision
                if plural == self._resource.group_resource and matches(obj):
                    yield json.dumps({"type": kind, "object": obj}).encode()
            await api._changed.wait()
            if api.down or api._watch_generation != self._generation:
                raise TransportError("watch broken", outcome_known=True)

    async def read(self) -> bytes:
        """See `LineStream.read`."""
        return b""


def _route(path: str, scheme: Scheme) -> tuple[Resource, str, str, str]:
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    else:
        group, version, rest = parts[1], parts[2], parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("finalize", "status"):
        namespace, rest = rest[1], rest[2:]
    resource = scheme.by_plural(group, version, rest[0])
    if resource is None:
        raise NotFound.path()
    return resource, namespace, *[*rest[1:3], "", ""][:2]  # type: ignore[return-value]


def _matcher(
    scheme: Scheme, resource: Resource, namespace: str, query: dict[str, str]
) -> Callable[[Obj], bool]:
    labels = parse_label_selector(query.get("labelSelector", ""))
    fields = parse_field_selector(query.get("fieldSelector", ""))
    text_of = scheme.kind_of(resource).field_text

    def matches(obj: Obj) -> bool:
        return (
            namespace in ("", meta.namespace(obj))
            and labels.matches(meta.labels(obj))
            and fields.matches(obj, text_of)
        )

    return matches


def _merge(target: Any, patch: Any, *, strategic: bool) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif strategic and name == "ownerReferences":
            merged[name] = _merge_by_uid(merged.get(name) or [], value)
        else:
            merged[name] = _merge(merged.get(name), value, strategic=strategic)
    return merged


def _merge_by_uid(old: list[Obj], patch: list[Obj]) -> list[Obj]:
    merged = {reference["uid"]: reference for reference in old}
    for reference in patch:
        if reference.get("$patch") == "delete":
            merged.pop(reference["uid"], None)
        else:
            merged[reference["uid"]] = {**merged.get(reference["uid"], {}), **reference}
    return list(merged.values())
