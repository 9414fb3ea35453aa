"""Who may ask a node what: told by certificate or token, decided by the API server's reviews.

A caller shows a certificate of the cluster's authority, or a bearer token that a TokenReview knows. What it wants is
asked of a SubjectAccessReview, as a verb on a part of this node: reading logs, commands in containers and forwarded
ports are `nodes/proxy`, the list of pods is `nodes/pods` or `nodes/proxy`. Answers are remembered for a while.

Source: pkg/kubelet/server/auth.go, and its bounds of time (pkg/kubelet/apis/config/v1beta1/defaults.go).
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.client.transport import TransportError
from controlplane.kinds.authentication.token_review import TOKEN_REVIEWS
from controlplane.kinds.authorization.subject_access_review import SUBJECT_ACCESS_REVIEWS
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_VERBS = {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TOKEN_SECONDS = 120.0
_ALLOWED_SECONDS, _REFUSED_SECONDS = 300.0, 30.0
# Tokens are told by what callers send: there must be an end.
_MOST_REMEMBERED = 1024
# Paths with a part of their own; a caller may have that part or, for the first four, the whole node's.
_FINE = {"/pods": "pods", "/runningpods": "pods", "/healthz": "healthz", "/configz": "configz"}
_PARTS = {"/stats": "stats", "/metrics": "metrics", "/logs": "log", "/checkpoint": "checkpoint"}

_log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Reviews(Protocol):
    """Asks the API server."""

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, timeout_seconds: float = 0
    ) -> Obj:
        """The review with its status."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Access:
    """The door of one node's server."""

    def __init__(self, reviews: Reviews, node_name: str, clock: Clock) -> None:
        self._reviews = reviews
        self._node = node_name
        self._clock = clock
        # Until when something is believed: callers by the hash of their token, decisions by caller, verb and part.
        self._callers: dict[bytes, tuple[float, Caller | None]] = {}
        self._decisions: dict[tuple[Caller, str, str], tuple[float, bool]] = {}

    async def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a caller who may not; None to one who may."""
        try:
            caller = await self._caller(request)
        except (APIError, TransportError) as error:
            _log.warning("caller not reviewed", error=str(error))
            caller = None
        if caller is None:
            return web.Response(status=401, text="Unauthorized\n")
        verb, parts = _VERBS.get(request.method, ""), parts_of(request.path)
        try:
            for part in parts:
                if await self._may(caller, verb, part):
                    return None
        except (APIError, TransportError) as error:
            _log.warning("access not reviewed", user=caller.name, error=str(error))
            text = f"Authorization error (user={caller.name}, verb={verb}, resource=nodes)\n"
            return web.Response(status=500, text=text)
        shown = " ".join(parts)
        return web.Response(
            status=403,
            text=f"Forbidden (user={caller.name}, verb={verb}, resource=nodes, "
            f"subresource(s)=[{shown}])\n",
        )

    def middleware(self) -> Any:
        """What stands before all endpoints."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = await self.refusal(request)
            return refused if refused is not None else await handler(request)

        return guarded

    async def _caller(self, request: web.Request) -> Caller | None:
        found = caller_of(request.get_extra_info("peercert"))
        if found is not None:
            return found
        kind, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return None
        return await self._known(token.strip())

    async def _known(self, token: str) -> Caller | None:
        key, now = hashlib.sha256(token.encode()).digest(), self._clock.monotonic()
        until, known = self._callers.get(key, (0.0, None))
        if now < until:
            return known
        review = await self._reviews.create(TOKEN_REVIEWS, {"spec": {"token": token}})
        status = review.get("status") or {}
        known = _reviewed(status.get("user") or {}) if status.get("authenticated") else None
        if len(self._callers) >= _MOST_REMEMBERED:
            self._callers.clear()
        self._callers[key] = (now + _TOKEN_SECONDS, known)
        return known

    async def _may(self, caller: Caller, verb: str, part: str) -> bool:
        key, now = (caller, verb, part), self._clock.monotonic()
        until, may = self._decisions.get(key, (0.0, False))
        if now < until:
            return may
        spec: Obj = {
            "user": caller.name,
            "groups": list(caller.groups),
            "uid": caller.uid,
            "extra": {name: list(values) for name, values in caller.extra},
            "resourceAttributes": {
                "verb": verb,
                "version": "v1",
                "resource": "nodes",
                "subresource": part,
                "name": self._node,
            },
        }
        review = await self._reviews.create(SUBJECT_ACCESS_REVIEWS, {"spec": spec})
        may = bool((review.get("status") or {}).get("allowed"))
        if len(self._decisions) >= _MOST_REMEMBERED:
            self._decisions.clear()
        self._decisions[key] = (now + (_ALLOWED_SECONDS if may else _REFUSED_SECONDS), may)
        return may


def caller_of(certificate: Any) -> Caller | None:
    """Whom a verified certificate names; None without one."""
    if not certificate:
        return None
    names = [(str(k), str(v)) for part in certificate.get("subject", ()) for k, v in part]
    user = next((value for key, value in names if key == "commonName"), "")
    groups = [value for key, value in names if key == "organizationName"]
    return Caller(user, (*groups, "system:authenticated")) if user else None


def _reviewed(user: Obj) -> Caller:
    extra = user.get("extra") or {}
    return Caller(
        str(user.get("username") or ""),
        tuple(user.get("groups") or ()),
        str(user.get("uid") or ""),
        tuple(sorted((name, tuple(values)) for name, values in extra.items())),
    )


def parts_of(path: str) -> list[str]:
    """The parts of the node that a path is about, any of which lets a caller in."""
    for prefix, part in _FINE.items():
        if _is_below(path, prefix):
            return [part, "proxy"]
    for prefix, part in _PARTS.items():
        if _is_below(path, prefix):
            return [part]
    return ["proxy"]


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")
