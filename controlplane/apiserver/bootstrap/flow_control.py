"""Flow control follows its objects: the filter heeds them, the schemas' status tells, the system's own are kept.

The mandatory objects are what they must be whatever anybody writes. The suggested ones are kept up to date while their
annotation `apf.kubernetes.io/autoupdate-spec` is true; without it, while nobody has changed the spec.

Source: pkg/registry/flowcontrol/ensurer and apiserver/pkg/util/flowcontrol/apf_controller.go.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from controlplane.api import errors, meta, times
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.bootstrap import defaults
from controlplane.apiserver.flowcontrol.control import BORROWING_SECONDS, Reference
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating
from controlplane.apiserver.verbs.patch import merged
from controlplane.kinds.flowcontrol import flow_schema
from controlplane.kinds.flowcontrol import priority_level_configuration as level
from controlplane.kinds.flowcontrol.flow_schema import FLOW_SCHEMAS
from controlplane.kinds.flowcontrol.priority_level_configuration import (
    PRIORITY_LEVEL_CONFIGURATIONS,
)
from controlplane.storage.errors import StorageError
from kvstore.base.backoff import Backoff
from kvstore.base.log import get_logger

KEPT = "apf.kubernetes.io/autoupdate-spec"
_PRODUCER = defaults.FLOW_MANAGER
_CONSUMER = "api-priority-and-fairness-config-consumer-v1"
_KINDS = (PRIORITY_LEVEL_CONFIGURATIONS, FLOW_SCHEMAS)
_BY_KIND = {resource.kind: resource for resource in _KINDS}
_MANDATORY = {
    PRIORITY_LEVEL_CONFIGURATIONS: level.MANDATORY,
    FLOW_SCHEMAS: flow_schema.MANDATORY,
}
_ENSURED_SECONDS = 60.0
# A wait without an event ends after this, and begins again.
_QUIET_SECONDS = 3600.0
# Servers of two versions may want different statuses: none writes one more often than this in a minute.
_MOST_WRITES_A_MINUTE = 6
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")

log = get_logger(__name__)


def mandatory() -> list[Obj]:
    """The objects without which nothing is served."""
    return [
        {"kind": resource.kind, "metadata": {"name": name}, "spec": spec}
        for resource, specs in _MANDATORY.items()
        for name, spec in specs.items()
    ]


async def follow(server: Server) -> None:
    """Runs for ever."""
    changed = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for resource in _KINDS:
            group.create_task(_watch(server, resource, changed), name=f"follow {resource.plural}")
        group.create_task(_heed(server, changed), name="heed")
        group.create_task(_lend(server, changed), name="lend")
        group.create_task(_keep(server), name="keep")


async def _watch(server: Server, resource: Resource, changed: asyncio.Event) -> None:
    """Set `changed` whenever an object of this kind has."""
    backoff = Backoff(0.1, 5.0)
    while True:
        with contextlib.suppress(StorageError):
            cache = await server.caches.cache(resource.key_prefix + "/")
            cursor = cache.cursor_at_end()
            changed.set()
            backoff.reset()
            while True:
                if await cursor.next(_QUIET_SECONDS):
                    changed.set()
        await server.clock.sleep(backoff.next())


async def _heed(server: Server, changed: asyncio.Event) -> None:
    recent: dict[str, list[float]] = {}
    while True:
        await changed.wait()
        changed.clear()
        try:
            levels, schemas = [
                (await server.caches.cache(resource.key_prefix + "/")).objects
                for resource in _KINDS
            ]
        except StorageError:
            # Its follower sets the event again once the cache is back.
            continue
        references = server.flow.digest(list(levels.values()), list(schemas.values()))
        for reference in references:
            wanted = _condition(reference)
            if _has(reference.schema, wanted):
                continue
            if not _may_write(recent, meta.name(reference.schema), server.clock.monotonic()):
                continue
            try:
                await _tell(server, reference, wanted)
            except errors.APIError as error:
                log.debug("flow schema's status not written", error=str(error))


def _may_write(recent: dict[str, list[float]], name: str, now: float) -> bool:
    times_of = recent.setdefault(name, [])
    times_of[:] = [when for when in times_of if now - when < 60.0]
    if len(times_of) >= _MOST_WRITES_A_MINUTE:
        return False
    times_of.append(now)
    return True


def _condition(reference: Reference) -> Obj:
    text = (
        "This FlowSchema references the PriorityLevelConfiguration object named "
        f'"{reference.level}" '
    )
    if reference.is_dangling:
        text += "but there is no such object"
    else:
        text += "and it exists"
    return {
        "type": "Dangling",
        "status": "True" if reference.is_dangling else "False",
        "reason": "NotFound" if reference.is_dangling else "Found",
        "message": text,
    }


def _has(schema: Obj, wanted: Obj) -> bool:
    return any(wanted.items() <= row.items() for row in meta.status(schema).get("conditions") or ())


async def _tell(server: Server, reference: Reference, wanted: Obj) -> None:
    registry, name = server.registries[FLOW_SCHEMAS], meta.name(reference.schema)
    context = WriteContext(
        FLOW_SCHEMAS.group_version, LOOPBACK, _CONSUMER, subresource="status", is_apply=True
    )
    now = server.clock.time()
    config = {
        "apiVersion": FLOW_SCHEMAS.group_version,
        "kind": FLOW_SCHEMAS.kind,
        "metadata": {"name": name},
        "status": {"conditions": [{**wanted, "lastTransitionTime": times.to_rfc3339(now)}]},
    }

    async def update(live: Obj) -> Obj:
        if _has(live, wanted):
            # Another server was first.
            return live
        return merged(registry, live, config, context, now=now, force=True)

    with contextlib.suppress(errors.NotFound):
        await registry.update("", name, update, context)


async def _lend(server: Server, changed: asyncio.Event) -> None:
    while True:
        await server.clock.sleep(BORROWING_SECONDS)
        server.flow.divide()
        if server.flow.has_idle_leftovers:
            changed.set()


async def _keep(server: Server) -> None:
    await server.bootstrapped.wait()
    while True:
        try:
            for resource in _KINDS:
                with translating(resource):
                    await server.caches.cache(resource.key_prefix + "/")
            await _ensure(server)
        except errors.APIError as error:
            log.warning("flow control's own objects have to wait", error=str(error))
        await server.clock.sleep(_ENSURED_SECONDS)


async def _ensure(server: Server) -> None:
    wanted = [obj for obj in defaults.objects() if obj["kind"] in _BY_KIND]
    for obj in wanted:
        resource = _BY_KIND[obj["kind"]]
        registry, context = server.registries[resource], _producer(resource)
        current = server.caches.peek(resource.key("", meta.name(obj)))
        if current is None:
            with contextlib.suppress(errors.AlreadyExists):
                await registry.create("", meta.copy_of(obj), context)
            continue
        if revised(current, obj) is None:
            continue

        async def update(live: Obj, expected: Obj = obj) -> Obj:
            return revised(live, expected) or live

        with contextlib.suppress(errors.NotFound, errors.Conflict):
            await registry.update("", meta.name(obj), update, context)
            log.info("kept as it was", kind=resource.kind, name=meta.name(obj))
    await _remove_former(server, {(obj["kind"], meta.name(obj)) for obj in wanted})


async def _remove_former(server: Server, wanted: set[tuple[str, str]]) -> None:
    """What former versions have made and kept goes."""
    for resource in _KINDS:
        try:
            cache = await server.caches.cache(resource.key_prefix + "/")
        except StorageError:
            return
        for obj in list(cache.objects.values()):
            is_kept = meta.annotations(obj).get(KEPT) in _TRUE
            if not is_kept or (resource.kind, meta.name(obj)) in wanted:
                continue
            options = DeleteOptions(uid=meta.uid(obj))
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                registry = server.registries[resource]
                await registry.delete("", meta.name(obj), options, _producer(resource))


def _producer(resource: Resource) -> WriteContext:
    return WriteContext(resource.group_version, LOOPBACK, manager=_PRODUCER)


@dataclass(frozen=True, slots=True)
class _Keeping:
    """Whether a spec is kept up to date, and whether the annotation says so already."""

    wants_spec: bool
    is_said: bool


def _keeping(current: Obj, *, is_mandatory: bool) -> _Keeping:
    said = meta.annotations(current).get(KEPT)
    if is_mandatory:
        return _Keeping(True, said in _TRUE)
    if said in _TRUE or said in _FALSE:
        return _Keeping(said in _TRUE, True)
    return _Keeping(meta.metadata(current).get("generation") == 1, False)


def revised(current: Obj, expected: Obj) -> Obj | None:
    """`current` as it should be; None when it is."""
    resource = _BY_KIND[expected["kind"]]
    is_mandatory = meta.name(expected) in _MANDATORY[resource]
    keeping = _keeping(current, is_mandatory=is_mandatory)
    differs = keeping.wants_spec and current.get("spec") != expected["spec"]
    if differs and meta.name(expected) == "exempt" and resource is PRIORITY_LEVEL_CONFIGURATIONS:
        # Its numbers are the operator's.
        differs = meta.spec(current).get("type") != "Exempt"
    if not differs and keeping.is_said:
        return None
    made = meta.copy_of(current)
    if differs:
        made["spec"] = meta.copy_of(expected["spec"])
    if not keeping.is_said:
        annotations = meta.ensure_metadata(made).setdefault("annotations", {})
        annotations[KEPT] = "true" if keeping.wants_spec else "false"
    return made
