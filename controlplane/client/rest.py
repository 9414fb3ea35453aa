"""The verbs of the API on resource rows and plain dict objects.

Every failure is an `APIError`: a Status the server sent, or `ServiceUnavailable` when no server answered (its cause is
the `TransportError`, whose `outcome_known` tells whether a change may have happened). A client may carry a *guard*,
called before each change: leader election uses it so that a leader whose lease ran out while it was stopped cannot
write even once when it wakes up.
"""

import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from controlplane.api.errors import APIError, Gone, Internal, ServiceUnavailable
from controlplane.api.meta import Obj
from controlplane.api.scheme import Resource
from controlplane.client import in_cluster
from controlplane.client.kubeconfig import load_kubeconfig
from controlplane.client.transport import (
    HttpTransport,
    Request,
    Response,
    Transport,
    TransportError,
)
from kvstore.base.clock import Clock, SystemClock

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


class TokenSource(Protocol):
    """Where the tokens of a client come from."""

    async def token(self, refused: str = "") -> str:
        """The token to show now; another one than `refused`, which a server did not believe, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class ListResult:
    """One list, or one page of it."""

    items: list[Obj]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK; errors are raised instead."""

    type: str
    object: Obj


class RestClient:
    """Calls an API server; cheap to copy with `guarded`."""

    def __init__(
        self,
        transport: Transport,
        *,
        timeout_seconds: float = 10.0,
        guard: Callable[[], None] | None = None,
        token: TokenSource | None = None,
    ) -> None:
        self.transport = transport
        self.timeout_seconds = timeout_seconds
        self._guard = guard
        self._token = token

    @classmethod
    def from_kubeconfig(
        cls,
        path: str | Path,
        servers: Sequence[str] = (),
        *,
        clock: Clock | None = None,
        user_agent: str = "quorate",
        timeout_seconds: float = 10.0,
        shows_identity: bool = True,
    ) -> "RestClient":
        """A client by kubeconfig; `servers`, if given, replace its server and give fail-over.

        One that shows no identity knows the servers and speaks as nobody, until it is told tokens.
        """
        config = load_kubeconfig(path)
        if not shows_identity:
            config = config.without_identity()
        transport = HttpTransport(
            tuple(servers) or (config.server,),
            clock or SystemClock(),
            tls=config.tls,
            token=config.token,
            user_agent=user_agent,
        )
        return cls(transport, timeout_seconds=timeout_seconds)

    @classmethod
    def configured(
        cls, kubeconfig: str | Path, servers: Sequence[str] = (), *, user_agent: str = "quorate"
    ) -> "RestClient":
        """A client by kubeconfig or, without one, by the service account of the pod that this runs in."""
        if kubeconfig:
            return cls.from_kubeconfig(kubeconfig, servers, user_agent=user_agent)
        return cls.in_cluster(user_agent=user_agent)

    @classmethod
    def in_cluster(
        cls, *, user_agent: str = "quorate", timeout_seconds: float = 10.0
    ) -> "RestClient":
        """A client for a program in a pod, by the pod's service account; NotInClusterError elsewhere."""
        clock = SystemClock()
        found = in_cluster.load(os.environ, clock)
        transport = HttpTransport(
            (found.server,), clock, tls=found.tls, token=found.token, user_agent=user_agent
        )
        return cls(transport, timeout_seconds=timeout_seconds)

    def guarded(self, guard: Callable[[], None]) -> "RestClient":
        """The same client with `guard` called before each change; it raises to refuse."""
        return RestClient(
            self.transport, timeout_seconds=self.timeout_seconds, guard=guard, token=self._token
        )

    def speaking_with(self, token: "TokenSource") -> "RestClient":
        """The same client with a bearer token asked of `token` for each request."""
        return RestClient(
            self.transport, timeout_seconds=self.timeout_seconds, guard=self._guard, token=token
        )

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, timeout_seconds: float = 0
    ) -> Obj:
        """One object. Raises NotFound."""
        path = object_path(resource, namespace, name)
        return await self._call("GET", path, timeout_seconds=timeout_seconds)

    async def get_path(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> Obj:
        """Any JSON document by its path: discovery, version, metrics of aggregated APIs. Raises NotFound."""
        return await self._call("GET", path, query=query, accept=accept)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> ListResult:
        """A page (or all, with limit 0); items carry apiVersion and kind."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit) if limit else "",
            "continue": continue_token,
            "resourceVersion": resource_version,
        }
        reply = await self._call("GET", collection_path(resource, namespace), query=query)
        items: list[Obj] = reply.get("items") or []
        for item in items:
            item.setdefault("apiVersion", resource.group_version)
            item.setdefault("kind", resource.kind)
        metadata = reply.get("metadata") or {}
        return ListResult(
            items, str(metadata.get("resourceVersion", "")), str(metadata.get("continue") or "")
        )

    async def list_all(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        page_size: int = 500,
    ) -> ListResult:
        """Every object at one revision, fetched in pages; starts again whole if the pages expire."""
        items: list[Obj] = []
        token = ""
        while True:
            try:
                page = await self.list(
                    resource,
                    namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                    limit=page_size,
                    continue_token=token,
                )
            except Gone:
                if not token:
                    raise
                return await self.list(
                    resource,
                    namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                )
            items.extend(page.items)
            token = page.continue_token
            if not token:
                return ListResult(items, page.resource_version)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        server_timeout_seconds: int = 300,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version` until the server ends the stream. Raises Expired on 410."""
        query = _pairs(
            {
                "watch": "true",
                "resourceVersion": resource_version,
                "labelSelector": label_selector,
                "fieldSelector": field_selector,
                "allowWatchBookmarks": "true" if bookmarks else "",
                "timeoutSeconds": str(server_timeout_seconds),
            }
        )
        request = Request(
            "GET",
            collection_path(resource, namespace),
            query,
            timeout_seconds=self.timeout_seconds,
            token=await self._token.token() if self._token is not None else "",
        )
        try:
            async with self.transport.stream(request) as stream:
                if stream.status != 200:
                    raise _error(stream.status, await stream.read())
                async for line in stream.lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise APIError.from_status(event["object"])
                    yield WatchEvent(event["type"], event["object"])
        except TransportError as error:
            raise ServiceUnavailable(str(error)) from error

    async def create(
        self,
        resource: Resource,
        obj: Obj,
        namespace: str = "",
        *,
        timeout_seconds: float = 0,
    ) -> Obj:
        """A new object. Raises AlreadyExists, Invalid, …"""
        place = namespace or str(obj.get("metadata", {}).get("namespace") or "")
        return await self._call(
            "POST",
            collection_path(resource, place),
            body=self._typed(resource, obj),
            timeout_seconds=timeout_seconds,
        )

    async def update(self, resource: Resource, obj: Obj, *, timeout_seconds: float = 0) -> Obj:
        """Replace; carries the object's resourceVersion. Raises Conflict when it is old."""
        return await self._put(resource, obj, "", timeout_seconds)

    async def update_status(
        self, resource: Resource, obj: Obj, *, timeout_seconds: float = 0
    ) -> Obj:
        """Replace the status only. Raises Conflict when the resourceVersion is old."""
        return await self._put(resource, obj, "status", timeout_seconds)

    async def _put(
        self, resource: Resource, obj: Obj, subresource: str, timeout_seconds: float
    ) -> Obj:
        metadata = obj["metadata"]
        path = object_path(
            resource, str(metadata.get("namespace") or ""), metadata["name"], subresource
        )
        return await self._call(
            "PUT", path, body=self._typed(resource, obj), timeout_seconds=timeout_seconds
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: object,
        namespace: str = "",
        *,
        patch_type: str = MERGE_PATCH,
        subresource: str = "",
        timeout_seconds: float = 0,
    ) -> Obj:
        """Change parts; `patch` is a merge patch unless `patch_type` says otherwise."""
        return await self._call(
            "PATCH",
            object_path(resource, namespace, name, subresource),
            body=patch,
            content_type=patch_type,
            timeout_seconds=timeout_seconds,
        )

    async def apply(
        self,
        resource: Resource,
        obj: Obj,
        *,
        manager: str,
        force: bool = False,
        subresource: str = "",
    ) -> Obj:
        """Server-side apply of what `manager` wants; `force` takes fields from others. Raises ApplyConflict."""
        metadata = obj["metadata"]
        namespace = str(metadata.get("namespace") or "")
        return await self._call(
            "PATCH",
            object_path(resource, namespace, metadata["name"], subresource),
            query={"fieldManager": manager, "force": "true" if force else ""},
            body=self._typed(resource, obj),
            content_type=APPLY_PATCH,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
    ) -> Obj:
        """Delete, only the object with `uid` if given. Raises NotFound, Conflict."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        preconditions = {}
        if uid:
            preconditions["uid"] = uid
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        if preconditions:
            options["preconditions"] = preconditions
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        return await self._call("DELETE", object_path(resource, namespace, name), body=options)

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        propagation_policy: str = "",
    ) -> Obj:
        """Delete every object of a namespace that the selector matches."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        return await self._call(
            "DELETE",
            collection_path(resource, namespace),
            query={"labelSelector": label_selector},
            body=options,
        )

    async def create_subresource(
        self, resource: Resource, name: str, subresource: str, body: Obj, namespace: str = ""
    ) -> Obj:
        """POST to a subresource: binding, eviction, token, …"""
        return await self._call(
            "POST", object_path(resource, namespace, name, subresource), body=body
        )

    async def update_subresource(
        self, resource: Resource, name: str, subresource: str, body: Obj, namespace: str = ""
    ) -> Obj:
        """PUT to a subresource: scale, finalize, …"""
        return await self._call(
            "PUT", object_path(resource, namespace, name, subresource), body=body
        )

    async def get_document(self, path: str) -> Obj:
        """A document that is no resource, such as /version or /apis."""
        return await self._call("GET", path)

    def _typed(self, resource: Resource, obj: Obj) -> Obj:
        return {**obj, "apiVersion": resource.group_version, "kind": resource.kind}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout_seconds: float = 0,
    ) -> Obj:
        if method != "GET" and self._guard is not None:
            self._guard()
        request = Request(
            method,
            path,
            _pairs(query or {}),
            body=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
            content_type=content_type,
            accept=accept,
            timeout_seconds=timeout_seconds or self.timeout_seconds,
            token=await self._token.token() if self._token is not None else "",
        )
        response = await self._send(request)
        if response.status == 401 and self._token is not None:
            # The account may have been deleted and made anew since: nothing was done, so it is asked again.
            fresh = await self._token.token(refused=request.token)
            if fresh != request.token:
                response = await self._send(replace(request, token=fresh))
        if response.status >= 400:
            raise _error(response.status, response.body)
        return _decode(response.body)

    async def _send(self, request: Request) -> Response:
        try:
            return await self.transport.send(request)
        except TransportError as error:
            raise ServiceUnavailable(str(error)) from error


def collection_path(resource: Resource, namespace: str = "") -> str:
    """The URL path of a list."""
    root = f"/apis/{resource.group}" if resource.group else "/api"
    middle = f"/namespaces/{quote(namespace, safe='')}" if namespace and resource.namespaced else ""
    return f"{root}/{resource.version}{middle}/{resource.plural}"


def object_path(resource: Resource, namespace: str, name: str, subresource: str = "") -> str:
    """The URL path of one object or of its subresource."""
    path = f"{collection_path(resource, namespace)}/{quote(name, safe='')}"
    return f"{path}/{subresource}" if subresource else path


def _pairs(query: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in query.items() if value)


def _decode(body: bytes) -> Obj:
    try:
        decoded = json.loads(body) if body else {}
    except ValueError as error:
        raise Internal(f"the server sent something that is not JSON: {body[:100]!r}") from error
    if not isinstance(decoded, dict):
        raise Internal("the server sent JSON that is not an object")
    return decoded


def _error(status: int, body: bytes) -> APIError:
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict) or decoded.get("kind") != "Status":
        message = body[:200].decode(errors="replace") or f"HTTP {status}"
        reasons = {
            503: "ServiceUnavailable",
            429: "TooManyRequests",
            401: "Unauthorized",
            403: "Forbidden",
            404: "NotFound",
            410: "Expired",
        }
        decoded = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reasons.get(status, "InternalError"),
            "code": status,
        }
    return APIError.from_status(decoded)
