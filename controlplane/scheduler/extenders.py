"""Programs beside the scheduler that have a say by HTTP: which nodes a pod may have, which it should, who binds it.

An extender is asked after the plugins, about what they left; it answers in JSON. One that fails fails the cycle unless
it is ignorable. Asked are only extenders that manage a resource the pod wants, or that manage none in particular.
Source: pkg/scheduler/extender.go, staging/src/k8s.io/kube-scheduler/extender/v1/types.go; names on the wire are the
fields of those types.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.api.meta import View
from controlplane.client.transport import (
    HttpTransport,
    Request,
    TlsIdentity,
    Transport,
    TransportError,
)
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import (
    SUCCESS,
    Status,
    error,
    unresolvable,
    unschedulable,
)
from kvstore.base.clock import Clock
from kvstore.base.durations import parse_duration

_TIMEOUT_SECONDS = 5.0
_SCALE = 10
"""Extenders score 0..10, plugins 0..100."""
_VERBS = ("filterVerb", "prioritizeVerb", "bindVerb")
_KNOWN = {
    "urlPrefix", *_VERBS, "preemptVerb", "weight", "enableHTTPS", "tlsConfig", "httpTimeout",
    "nodeCacheCapable", "managedResources", "ignorable",
}  # fmt: skip


class ExtenderError(Exception):
    """The extender did not answer, or answered that it failed."""


@dataclass(frozen=True, slots=True)
class ExtenderConfig:
    """One entry of `extenders`; verbs that are empty are not asked for."""

    url: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    bind_verb: str = ""
    weight: int = 1
    timeout_seconds: float = _TIMEOUT_SECONDS
    knows_nodes: bool = False
    """Whether names of nodes are enough for it."""
    resources: frozenset[str] = frozenset()
    ignored_resources: frozenset[str] = frozenset()
    """Resources that only the extender counts."""
    is_ignorable: bool = False
    tls: TlsIdentity | None = None


def read_extender(raw: Any, path: str, problems: list[str]) -> ExtenderConfig:
    """The meaning of one entry; what is wrong is added to `problems`."""
    if not isinstance(raw, dict):
        problems.append(f"{path}: expected a map")
        return ExtenderConfig("")
    problems += [f"{path}.{key}: not known" for key in raw if key not in _KNOWN]
    if not raw.get("urlPrefix"):
        problems.append(f"{path}.urlPrefix: must be given")
    if raw.get("preemptVerb"):
        problems.append(f"{path}.preemptVerb: extenders have no say in preemption")
    weight = raw.get("weight", 1)
    if raw.get("prioritizeVerb") and (not isinstance(weight, int) or weight <= 0):
        problems.append(f"{path}.weight: must have a positive weight applied to it")
    managed = [row for row in raw.get("managedResources") or () if isinstance(row, dict)]
    tls = None
    if raw.get("enableHTTPS") or str(raw.get("urlPrefix")).startswith("https:"):
        tls = _tls(raw.get("tlsConfig") or {}, f"{path}.tlsConfig", problems)
    timeout = raw.get("httpTimeout")
    try:
        seconds = _TIMEOUT_SECONDS if timeout is None else parse_duration(str(timeout))
    except ValueError as problem:
        problems.append(f"{path}.httpTimeout: {problem}")
        seconds = _TIMEOUT_SECONDS
    return ExtenderConfig(
        url=str(raw.get("urlPrefix") or "").rstrip("/"),
        filter_verb=str(raw.get("filterVerb") or ""),
        prioritize_verb=str(raw.get("prioritizeVerb") or ""),
        bind_verb=str(raw.get("bindVerb") or ""),
        weight=weight if isinstance(weight, int) else 1,
        timeout_seconds=seconds,
        knows_nodes=bool(raw.get("nodeCacheCapable")),
        resources=frozenset(str(row.get("name")) for row in managed),
        ignored_resources=frozenset(
            str(row.get("name")) for row in managed if row.get("ignoredByScheduler")
        ),
        is_ignorable=bool(raw.get("ignorable")),
        tls=tls,
    )


def _tls(raw: View, path: str, problems: list[str]) -> TlsIdentity:
    def content(key: str) -> bytes:
        name = raw.get(key)
        if not name:
            return b""
        try:
            return Path(str(name)).read_bytes()
        except OSError as problem:
            problems.append(f"{path}.{key}: {problem}")
            return b""

    return TlsIdentity(
        content("caFile"), content("certFile"), content("keyFile"), bool(raw.get("insecure"))
    )


class Extender:
    """Asks one of them."""

    def __init__(self, config: ExtenderConfig, transport: Transport) -> None:
        self.config = config
        self._transport = transport
        self._prefix = urlsplit(config.url).path.rstrip("/")

    @property
    def name(self) -> str:
        """Its address."""
        return self.config.url

    def is_interested(self, pod: PodInfo) -> bool:
        """Whether it has a say on the pod."""
        wanted = self.config.resources
        return not wanted or not wanted.isdisjoint(pod.requests)

    async def close(self) -> None:
        """Give back connections."""
        await self._transport.close()

    async def filter(
        self, pod: PodInfo, nodes: Sequence[NodeInfo]
    ) -> tuple[list[NodeInfo], dict[str, Status]]:
        """The nodes it leaves, and why not the others. Raises ExtenderError."""
        if not self.config.filter_verb:
            return list(nodes), {}
        answer = await self._ask(self.config.filter_verb, self._arguments(pod, nodes))
        if answer.get("error"):
            raise ExtenderError(str(answer["error"]))
        names = answer.get("nodenames")
        if names is None:
            items = (answer.get("nodes") or {}).get("items") or ()
            names = [node["metadata"]["name"] for node in items]
        kept = frozenset(names)
        refused = {
            str(name): unschedulable(str(why))
            for name, why in (answer.get("failednodes") or {}).items()
        }
        refused |= {
            str(name): unresolvable(str(why))
            for name, why in (answer.get("failedandunresolvablenodes") or {}).items()
        }
        return [node for node in nodes if node.name in kept], refused

    async def prioritize(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> dict[str, int]:
        """What it adds to the scores. Raises ExtenderError."""
        if not self.config.prioritize_verb:
            return {}
        rows = await self._ask(self.config.prioritize_verb, self._arguments(pod, nodes))
        factor = self.config.weight * _SCALE
        return {str(row["host"]): int(row.get("score") or 0) * factor for row in rows.get("", ())}

    async def bind(self, pod: PodInfo, node_name: str) -> Status:
        """Have it bind the pod."""
        body = {
            "PodName": pod.name,
            "PodNamespace": pod.namespace,
            "PodUID": pod.uid,
            "Node": node_name,
        }
        try:
            answer = await self._ask(self.config.bind_verb, body)
        except ExtenderError as problem:
            return error(str(problem))
        return error(str(answer["error"])) if answer.get("error") else SUCCESS

    def _arguments(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Mapping[str, Any]:
        if self.config.knows_nodes:
            return {"Pod": pod.object, "Nodes": None, "NodeNames": [node.name for node in nodes]}
        items = [dict(node.node or {}) for node in nodes]
        return {"Pod": pod.object, "Nodes": {"items": items}, "NodeNames": None}

    async def _ask(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with its keys in small letters, as Go reads them; a list stands under the empty key."""
        request = Request(
            "POST",
            f"{self._prefix}/{verb}",
            body=json.dumps(body).encode(),
            timeout_seconds=self.config.timeout_seconds,
        )
        try:
            response = await self._transport.send(request)
            if response.status != 200:
                raise ExtenderError(
                    f"failed {verb} with extender at URL {self.name}, code {response.status}"
                )
            answer = json.loads(response.body)
        except (TransportError, ValueError) as problem:
            raise ExtenderError(f"{verb} at extender {self.name}: {problem}") from problem
        if isinstance(answer, list):
            return {"": [_small(row) for row in answer]}
        return _small(answer) if isinstance(answer, dict) else {}


def _small(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in row.items()}


def connect(config: ExtenderConfig, clock: Clock) -> Extender:
    """An extender over HTTP."""
    parts = urlsplit(config.url)
    server = f"{parts.scheme}://{parts.netloc}"
    return Extender(config, HttpTransport((server,), clock, tls=config.tls))


async def filtered(
    extenders: Sequence[Extender], pod: PodInfo, nodes: Sequence[NodeInfo]
) -> tuple[list[NodeInfo], dict[str, Status]]:
    """What all that are interested leave, one after the other. Raises ExtenderError."""
    left, refused = list(nodes), dict[str, Status]()
    for extender in extenders:
        if not left:
            break
        if not extender.is_interested(pod):
            continue
        try:
            kept, why = await extender.filter(pod, left)
        except ExtenderError:
            if extender.config.is_ignorable:
                continue
            raise
        names = {node.name for node in kept}
        for node in left:
            if node.name not in names:
                refused[node.name] = why.get(node.name, unschedulable("rejected by an extender"))
        left = kept
    return left, refused


async def scores(
    extenders: Sequence[Extender], pod: PodInfo, nodes: Sequence[NodeInfo]
) -> dict[str, int]:
    """What all that are interested add; one that fails adds nothing, as upstream."""
    totals: dict[str, int] = {}
    for extender in extenders:
        if not extender.is_interested(pod):
            continue
        try:
            given = await extender.prioritize(pod, nodes)
        except ExtenderError:
            continue
        for name, value in given.items():
            totals[name] = totals.get(name, 0) + value
    return totals
