"""Keeps the VolumeAttachments of a node to what its pods need; the driver's own attacher does the rest.

A volume for one node at a time is not attached to a second before the first has let it go. What a node still uses
(`status.volumesInUse`) stays, unless the node is gone, out of service, or silent for six minutes.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.meta import Obj
from controlplane.controllers.attachdetach.plan import (
    MANAGED,
    Attachment,
    attachment_of,
    is_shared,
    may_detach,
    multi_attach_message,
    wanted,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.storage.csi_driver import CSI_DRIVERS
from controlplane.kinds.storage.volume_attachment import VOLUME_ATTACHMENTS
from controlplane.program.options import option

_NAME = "persistentvolume-attach-detach-controller"
MOST_SECONDS_IN_USE = 360.0
"""Upstream's maxWaitForUnmountDuration."""


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """What the controller can be told."""

    attach_detach_reconcile_sync_period_seconds: float = option(
        60.0, "how often a node whose volumes are not as they should be is looked at"
    )


class AttachDetach:
    """Looks at one node."""

    def __init__(self, context: Context, options: AttachOptions) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._clock = context.clock
        self._period = options.attach_detach_reconcile_sync_period_seconds
        self._pods = context.informers.of(PODS).indexer
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._volumes = context.informers.of(PERSISTENT_VOLUMES).indexer
        self._drivers = context.informers.of(CSI_DRIVERS).indexer
        self._nodes = context.informers.of(NODES).indexer
        self._attachments = context.informers.of(VOLUME_ATTACHMENTS).indexer
        self._unneeded_since: dict[str, float] = {}
        self._pending: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The node of a pod that has claims."""
        pod = change.object
        node = meta.spec(pod).get("nodeName")
        has_claims = any(
            "persistentVolumeClaim" in one or "ephemeral" in one
            for one in meta.spec(pod).get("volumes") or ()
        )
        return (Key("", str(node)),) if node and has_claims else ()

    def claim_changed(self, change: Change) -> Iterable[Key]:
        """The nodes of the pods of its namespace."""
        pods = self._pods.list(meta.namespace(change.object))
        nodes = {str(meta.spec(pod).get("nodeName") or "") for pod in pods}
        return [Key("", node) for node in sorted(nodes) if node]

    def attachment_changed(self, change: Change) -> Iterable[Key]:
        """Its node, and those that wait for the volume."""
        spec = meta.spec(change.object)
        keys = [Key("", str(spec.get("nodeName")))]
        if change.new is None:
            volume = (spec.get("source") or {}).get("persistentVolumeName")
            found = self._volumes.get(str(volume or ""))
            owner = meta.spec(found or {}).get("claimRef") or {}
            keys += [
                Key("", str(meta.spec(pod)["nodeName"]))
                for pod in self._pods.list(str(owner.get("namespace") or "-"))
                if meta.spec(pod).get("nodeName")
            ]
        return keys

    def node_changed(self, change: Change) -> Iterable[Key]:
        """A node that came, went, or uses other volumes."""
        new, old = change.new, change.old
        if new is not None and old is not None:
            parts = [
                (meta.status(one).get("volumesInUse"), meta.spec(one).get("taints"))
                for one in (new, old)
            ]
            if parts[0] == parts[1]:
                return ()
        return (Key("", meta.name(change.object)),)

    async def reconcile(self, key: Key) -> Result:
        """Attach what is needed and free, detach what is not, tell the node."""
        node = self._nodes.get(key.name)
        is_managed = node is not None and meta.annotations(node).get(MANAGED) == "true"
        needed = (
            wanted(
                key.name,
                self._pods.by_node(key.name),
                lambda namespace, name: self._claims.get(name, namespace),
                self._volumes.get,
                self._drivers.get,
            )
            if is_managed
            else {}
        )
        there = {
            meta.name(one): one
            for one in self._attachments.list()
            if meta.spec(one).get("nodeName") == key.name
        }
        is_open = False
        for one, pods in needed.items():
            self._unneeded_since.pop(one.name, None)
            shown = there.get(one.name)
            if shown is None:
                is_open = not await self._attach(one, pods) or is_open
            elif _is_attached(shown):
                self._tell_attached(one, pods)
            else:
                self._pending.add(one.name)
        names = {one.name for one in needed}
        for name, shown in there.items():
            if name not in names and not meta.is_deleting(shown):
                is_open = not await self._detach(node, shown) or is_open
        if node is not None and is_managed:
            await self._tell_node(node, there.values())
        return Result.after(min(self._period, 10.0)) if is_open else Result.done()

    async def _attach(self, one: Attachment, pods: list[Obj]) -> bool:
        volume = self._volumes.get(one.volume)
        elsewhere = [
            other
            for other in self._attachments.list()
            if (meta.spec(other).get("source") or {}).get("persistentVolumeName") == one.volume
            and meta.spec(other).get("nodeName") != one.node
        ]
        if volume is not None and elsewhere and not is_shared(volume):
            self._refuse(one, volume, pods)
            return False
        self._pending.add(one.name)
        with contextlib.suppress(AlreadyExists):
            await self._client.create(VOLUME_ATTACHMENTS, one.object())
        return True

    def _refuse(self, one: Attachment, volume: Obj, pods: list[Obj]) -> None:
        owner = meta.spec(volume).get("claimRef") or {}
        namespace, name = str(owner.get("namespace") or "-"), str(owner.get("name"))
        users = [
            pod
            for pod in self._pods.list(namespace)
            if meta.spec(pod).get("nodeName") not in (None, "", one.node)
            and any(
                (volume.get("persistentVolumeClaim") or {}).get("claimName") == name
                for volume in meta.spec(pod).get("volumes") or ()
            )
        ]
        for pod in pods:
            if (one.name, meta.uid(pod)) in self._told:
                continue
            self._told.add((one.name, meta.uid(pod)))
            message = multi_attach_message(one.volume, meta.namespace(pod), users)
            self._recorder.event(pod, "Warning", "FailedAttachVolume", message)

    async def _detach(self, node: Obj | None, shown: Obj) -> bool:
        name = meta.name(shown)
        volume = self._volumes.get(
            str((meta.spec(shown).get("source") or {}).get("persistentVolumeName") or "")
        )
        one = attachment_of(volume, str(meta.spec(shown).get("nodeName"))) if volume else None
        if one is None or one.name != name:
            return True  # somebody else's
        now = self._clock.monotonic()
        since = self._unneeded_since.setdefault(name, now)
        if not may_detach(node, one, now - since, MOST_SECONDS_IN_USE):
            return False
        with contextlib.suppress(NotFound):
            await self._client.delete(VOLUME_ATTACHMENTS, name, uid=meta.uid(shown))
        self._unneeded_since.pop(name, None)
        self._told = {row for row in self._told if row[0] != name}
        return True

    def _tell_attached(self, one: Attachment, pods: list[Obj]) -> None:
        if one.name not in self._pending:
            return
        self._pending.discard(one.name)
        # Compat: upstream's message ends with a space.
        message = f'AttachVolume.Attach succeeded for volume "{one.volume}" '
        for pod in pods:
            self._recorder.event(pod, "Normal", "SuccessfulAttachVolume", message)

    async def _tell_node(self, node: Obj, attachments: Iterable[Obj]) -> None:
        """Write what is attached into the node's status: the kubelet waits for it before it mounts."""
        rows = []
        for shown in attachments:
            name = str((meta.spec(shown).get("source") or {}).get("persistentVolumeName") or "")
            volume = self._volumes.get(name)
            one = attachment_of(volume, meta.name(node)) if volume is not None else None
            if one is not None and _is_attached(shown) and not meta.is_deleting(shown):
                rows.append({"name": one.unique_name, "devicePath": ""})
        rows.sort(key=lambda row: row["name"])
        if rows == (meta.status(node).get("volumesAttached") or []):
            return
        patch = {"status": {"volumesAttached": rows or None}}
        await self._client.patch(NODES, meta.name(node), patch, subresource="status")


def _is_attached(attachment: Obj) -> bool:
    return bool(meta.status(attachment).get("attached"))


def _build(context: Context, options: AttachOptions) -> Controller[Key]:
    controller = AttachDetach(context, options)
    watches = (
        Watch(PODS, controller.pod_changed),
        Watch(PERSISTENT_VOLUME_CLAIMS, controller.claim_changed),
        Watch(VOLUME_ATTACHMENTS, controller.attachment_changed),
        Watch(NODES, controller.node_changed),
    )
    return Controller(_NAME, watches, controller, workers=1)


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (
        PODS,
        PERSISTENT_VOLUME_CLAIMS,
        PERSISTENT_VOLUMES,
        CSI_DRIVERS,
        NODES,
        VOLUME_ATTACHMENTS,
    ),
    AttachOptions,
    aliases=("attachdetach",),
    component="attachdetach-controller",
)
