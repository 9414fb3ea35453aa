"""A request's events: what is known of it at each stage, in the form of audit.k8s.io/v1.

Source: apiserver/pkg/apis/audit/v1/types.go and apiserver/pkg/audit/request.go.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec
import yaml

from controlplane.api import errors, times
from controlplane.api.errors import APIError
from controlplane.apiserver.audit.policy import GROUP_VERSION, LEVEL_NAMES, Decision, Level
from controlplane.apiserver.http.messages import Incoming, Request

_TRUNCATED = "audit.k8s.io/truncated"
_MOST_AGENT = 1024
_HEAD = msgspec.json.encode({"kind": "Event", "apiVersion": GROUP_VERSION})[:-1] + b","
# What a path's parts may have as it is (RFC 3986, section 3.3).
_PLAIN = "/:@!$&'()*+,;=-._~"
_PROTOBUF_MAGIC = b"k8s\0"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `item` is its JSON within a list, `line` by itself."""

    level: Level
    fields: dict[str, Any]
    item: bytes

    @property
    def line(self) -> bytes:
        """The event with its type, as a line of a file without the line's end."""
        return _HEAD + self.item[1:]

    def truncated(self) -> Event:
        """Without the objects, which are what makes events large."""
        fields = {
            key: value
            for key, value in self.fields.items()
            if key not in ("requestObject", "responseObject")
        }
        fields["annotations"] = {**(fields.get("annotations") or {}), _TRUNCATED: "true"}
        return replace(self, fields=fields, item=msgspec.json.encode(fields))


class Trail:
    """What is gathered of one request; `received` is Unix time in seconds."""

    def __init__(self, request: Request, decision: Decision, received: float) -> None:
        self._request = request
        self.decision = decision
        self._received = received
        # From here on the request may become another user's.
        self._user = request.user
        self._status: dict[str, Any] | None = None
        self._answer = b""

    def answered(self, code: int, body: bytes = b"", content_type: str = "") -> None:
        """The answer is known; `body` is empty where it goes on for long."""
        self._status = {"metadata": {}, "code": code}
        is_status = b'"Status"' in body[:200] or code >= 400
        if body and (is_status or self.decision.level is Level.REQUEST_RESPONSE):
            parsed = _object_of(body, content_type)
            if isinstance(parsed, dict) and parsed.get("kind") == "Status":
                shown = {k: v for k, v in parsed.items() if k not in ("kind", "apiVersion")}
                self._status = {"metadata": {}, **shown, "code": shown.get("code") or code}
            if self.decision.level is Level.REQUEST_RESPONSE and parsed is not None:
                self._answer = self._encoded(parsed)

    def refused(self, error: APIError) -> None:
        """The answer will be the Status of an error."""
        status = error.status()
        self.answered(error.status_code, json.dumps(status).encode())

    def failed(self, words: str) -> None:
        """The server has failed."""
        self.refused(errors.Internal(words))

    def said(self, code: int, message: str) -> None:
        """The answer's code, and words that are for the log alone."""
        self._status = {"metadata": {}, "message": message, "code": code}

    @property
    def is_answered(self) -> bool:
        """Whether the answer is known."""
        return self._status is not None

    def event(self, stage: str, now: float) -> Event:
        """The event of a stage reached at `now`."""
        request, info, level = self._request, self._request.info, self.decision.level
        fields: dict[str, Any] = {
            "level": LEVEL_NAMES[level],
            "auditID": request.request_id,
            "stage": stage,
            "requestURI": _target(request),
            "verb": info.verb,
            "user": self._user.info(),
        }
        if request.impersonator is not None:
            fields["impersonatedUser"] = request.user.info()
        fields["sourceIPs"] = source_addresses(request.headers, request.incoming.peer)
        agent = request.headers.get("user-agent", "")
        if agent:
            short = agent[:_MOST_AGENT] + "...TRUNCATED" if len(agent) > _MOST_AGENT else agent
            fields["userAgent"] = short
        if info.is_resource:
            fields["objectRef"] = self._reference()
        if self._status is not None:
            fields["responseStatus"] = self._status
        if level >= Level.REQUEST and info.is_resource and request.body:
            body = _object_of(request.body, request.headers.get("content-type", ""))
            if body is not None:
                fields["requestObject"] = msgspec.Raw(self._encoded(body))
        if self._answer and info.is_resource:
            fields["responseObject"] = msgspec.Raw(self._answer)
        fields["requestReceivedTimestamp"] = times.to_micro(self._received)
        fields["stageTimestamp"] = times.to_micro(now)
        if request.annotations:
            fields["annotations"] = dict(request.annotations)
        return Event(level, fields, msgspec.json.encode(fields))

    def _reference(self) -> dict[str, str]:
        request, info = self._request, self._request.info
        reference = {
            "resource": info.resource,
            "namespace": info.namespace,
            "name": info.name,
            "uid": "",
            "apiGroup": info.group,
            "apiVersion": info.version,
            "resourceVersion": "",
            "subresource": info.subresource,
        }
        if request.body and info.verb in ("create", "update"):
            found = _metadata_of(request.body, request.headers.get("content-type", ""))
            for key in ("namespace", "name", "uid", "resourceVersion"):
                value = found.get(key)
                if not reference[key] and isinstance(value, str):
                    reference[key] = value
        return {key: value for key, value in reference.items() if value}

    def _encoded(self, value: Any) -> bytes:
        if self.decision.omits_managed_fields:
            value = _without_owners(value)
        return msgspec.json.encode(value)


def _target(request: Request) -> str:
    """Path and query as a client writes them."""
    query = request.incoming.raw_query
    return quote(request.path, safe=_PLAIN) + (f"?{query}" if query else "")


def source_addresses(headers: Mapping[str, str], remote: str) -> list[str]:
    """Where a request says it comes from, and last where it does: all but the last is the client's word.

    Source: apimachinery/pkg/util/net/http.go (SourceIPs).
    """
    found = [
        one
        for one in map(_address, headers.get("x-forwarded-for", "").split(","))
        if one is not None
    ]
    real = _address(headers.get("x-real-ip", ""))
    if real is not None and real not in found:
        found.append(real)
    last = _address(remote)
    if last is not None and (not found or found[-1] != last):
        found.append(last)
    return found


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def _object_of(body: bytes, content_type: str) -> Any:
    """What a body says, from the forms that clients and server speak; None when it says nothing."""
    try:
        if body.startswith(_PROTOBUF_MAGIC):
            from controlplane.api.wire import protobuf

            return protobuf.decode(body)
        if "yaml" in content_type:
            return yaml.safe_load(body)
        return msgspec.json.decode(body)
    except (ValueError, APIError, yaml.YAMLError):
        return None


class _Identity(msgspec.Struct):
    metadata: dict[str, Any] = {}


_read_identity = msgspec.json.Decoder(_Identity).decode


def _metadata_of(body: bytes, content_type: str) -> Mapping[str, Any]:
    if body.startswith(b"{"):
        try:
            return _read_identity(body).metadata
        except ValueError:
            return {}
    found = _object_of(body, content_type)
    metadata = found.get("metadata") if isinstance(found, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _without_owners(value: Any) -> Any:
    """Objects, lists and tables without managedFields."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    metadata = made.get("metadata")
    if isinstance(metadata, dict) and "managedFields" in metadata:
        made["metadata"] = {k: v for k, v in metadata.items() if k != "managedFields"}
    if isinstance(made.get("items"), list):
        made["items"] = [_without_owners(one) for one in made["items"]]
    if made.get("kind") == "Table":
        made["rows"] = [
            {**row, "object": _without_owners(row.get("object"))} for row in made.get("rows") or ()
        ]
    return made


def method_words(incoming: Incoming) -> str:
    """What a request whose user could not be told has tried."""
    kind, _, _ = incoming.headers.get("authorization", "").strip().partition(" ")
    tried = [name for name in ("basic", "bearer") if kind.lower() == name]
    if not tried:
        return "Authentication failed, no credentials provided"
    return f"Authentication failed, attempted: {', '.join(tried)}"
