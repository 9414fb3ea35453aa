"""Brings claims and volumes together; a key without a namespace is a volume, one with it a claim.

Every write carries the version it was decided on, so that of two claims that want one volume one is refused and looks
again. What a volume or a claim waits for may be nothing this controller watches (an external provisioner, a person), so
those that are not settled are looked at every 15 seconds, as upstream does.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.pvbinder import local_path
from controlplane.controllers.pvbinder.local_path import LocalPath, ProvisioningError
from controlplane.controllers.pvbinder.plan import (
    ClaimPlan,
    Fate,
    Note,
    Step,
    claim_bound_to,
    claim_status,
    mismatch_notes,
    plan_claim,
    plan_volume,
    unbound,
)
from controlplane.controllers.pvbinder.reclaim import Reclaimer
from controlplane.controllers.pvbinder.states import States
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.binding import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    LOCAL_PATH,
    PROVISIONER,
    SELECTED_NODE,
    bound_to,
)
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import (
    PERSISTENT_VOLUME_CLAIMS,
    storage_class_of,
)
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import claims_of, is_ended
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.program.options import option

_NAME = "persistentvolume-binder-controller"
LOOK_AGAIN_SECONDS = 15.0
"""Upstream's --pvclaimbinder-sync-period."""
_SETTLED = ("Released", "Failed")


@dataclass(frozen=True, slots=True)
class BinderOptions:
    """What the controller can be told."""

    pvclaimbinder_sync_period_seconds: float = option(
        LOOK_AGAIN_SECONDS, "how often claims and volumes that wait are looked at"
    )
    local_path_directory: str = option(
        "", "where nodes keep volumes of the class local-path, {node} being the node's name"
    )
    local_path_image: str = option("busybox", "the image of pods that remove such volumes")


class Binder:
    """Looks at one claim or volume."""

    def __init__(self, context: Context, options: BinderOptions) -> None:
        self._client = context.client
        self._reader = context.reader
        self._volumes = context.informers.of(PERSISTENT_VOLUMES).indexer
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._classes = context.informers.of(STORAGE_CLASSES).indexer
        self._pods = context.informers.of(PODS).indexer
        self._nodes = context.informers.of(NODES).indexer
        self._again = Result.after(options.pvclaimbinder_sync_period_seconds)
        self._local: LocalPath | None = None
        if options.local_path_directory:
            self._local = LocalPath(options.local_path_directory, options.local_path_image)
        self._states = States(context)
        self._reclaimer = Reclaimer(context, self._states, self._local, self._again)

    # What wakes whom

    def volume_changed(self, change: Change) -> Iterable[Key]:
        """The volume, the claim it is meant for, and claims that might take it."""
        volume = change.object
        keys = [Key("", meta.name(volume))]
        reference = meta.spec(volume).get("claimRef")
        if reference is not None:
            keys.append(Key(str(reference.get("namespace") or ""), str(reference.get("name"))))
            return keys
        wanted = storage_class_of(volume)
        keys += [
            meta.key_of(claim)
            for claim in self._claims.list()
            if BIND_COMPLETED not in meta.annotations(claim) and storage_class_of(claim) == wanted
        ]
        return keys

    def claim_changed(self, change: Change) -> Iterable[Key]:
        """The claim and its volume."""
        claim = change.object
        keys = [meta.key_of(claim)]
        name = meta.spec(claim).get("volumeName")
        if name:
            keys.append(Key("", str(name)))
        elif change.new is None:
            # It may have been meant to have a volume that it never got.
            keys.append(Key("", f"pvc-{meta.uid(claim)}"))
        return keys

    def class_changed(self, change: Change) -> Iterable[Key]:
        """Claims without a volume that have this class, or none yet."""
        name = meta.name(change.object)
        return [
            meta.key_of(claim)
            for claim in self._claims.list()
            if BIND_COMPLETED not in meta.annotations(claim)
            and storage_class_of(claim) in ("", name)
        ]

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The volume whose folder the pod removes."""
        pod = change.object
        name = meta.name(pod)
        if meta.namespace(pod) == local_path.NAMESPACE and name.startswith("remove-"):
            return (Key("", name.removeprefix("remove-")),)
        return ()

    async def reconcile(self, key: Key) -> Result:
        """One step of a claim or a volume."""
        if key.namespace:
            claim = self._claims.get(key.name, key.namespace)
            return Result.done() if claim is None else await self._claim(claim)
        volume = self._volumes.get(key.name)
        if volume is not None:
            return await self._volume(volume)
        remover = self._pods.get(f"remove-{key.name}", local_path.NAMESPACE)
        if remover is not None and is_ended(remover):
            await self._reclaimer.end(remover)
        return Result.done()

    # Claims

    async def _claim(self, claim: Obj) -> Result:
        namespace = meta.namespace(claim)
        users = [pod for pod in self._pods.list(namespace) if meta.name(claim) in claims_of(pod)]
        plan = plan_claim(
            claim, self._volumes.list(), self._volumes.get, self._classes.list(), users
        )
        match plan.step:
            case Step.BIND:
                assert plan.volume is not None
                await self._bind(plan.volume, claim)
                return Result.done()
            case Step.TAKE_CLASS:
                changed = meta.copy_of(claim)
                changed["spec"]["storageClassName"] = plan.name
                await self._client.update(PERSISTENT_VOLUME_CLAIMS, changed)
                return Result.done()
            case Step.PROVISION:
                await self._provision(claim)
                return self._again
            case Step.PENDING:
                self._states.tell(claim, plan.note)
                await self._write_claim_status(claim, "Pending", None)
                return self._again
        return await self._lose(claim, plan)

    async def _lose(self, claim: Obj, plan: ClaimPlan) -> Result:
        if meta.status(claim).get("phase") == "Lost":
            return Result.done()
        name = str(meta.spec(claim).get("volumeName") or "")
        if name and self._volumes.get(name) is None and await self._is_there(name):
            return Result.after(1.0)  # the cache is late
        await self._write_claim_status(claim, "Lost", None)
        self._states.tell(claim, plan.note)
        return Result.done()

    async def _is_there(self, volume: str) -> bool:
        try:
            await self._reader.get(PERSISTENT_VOLUMES, volume)
        except NotFound:
            return False
        return True

    async def _bind(self, volume: Obj, claim: Obj) -> None:
        """Write what is missing of the bond: the volume first, the claim's status last."""
        changed = bound_to(volume, claim)
        if changed is not volume:
            changed = await self._client.update(PERSISTENT_VOLUMES, changed)
        changed = await self._states.write(changed, "Bound")
        fresh = claim_bound_to(claim, changed)
        if fresh is not claim:
            fresh = await self._client.update(PERSISTENT_VOLUME_CLAIMS, fresh)
        await self._write_claim_status(fresh, "Bound", changed)

    async def _write_claim_status(self, claim: Obj, phase: str, volume: Obj | None) -> None:
        status = claim_status(claim, phase, volume)
        if status != meta.status(claim):
            await self._client.update_status(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status})

    async def _provision(self, claim: Obj) -> None:
        name = storage_class_of(claim)
        storage_class = self._classes.get(name)
        if storage_class is None:
            self._fail(claim, f'storageclass.storage.k8s.io "{name}" not found')
            return
        provisioner = str(storage_class.get("provisioner") or "")
        is_local = provisioner == LOCAL_PATH and self._local is not None
        if not is_local and provisioner.startswith("kubernetes.io/"):
            self._fail(claim, "no volume plugin matched")
            return
        if is_local and meta.spec(claim).get("dataSource"):
            self._fail(
                claim,
                f'plugin "{provisioner}" is not a CSI plugin. '
                "Only CSI plugin can provision a claim with a datasource",
            )
            return
        claim = await self._name_provisioner(claim, provisioner)
        if is_local:
            await self._provision_here(claim, storage_class)
            return
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' "
            "or manually by the system administrator. If volume creation is delayed, please verify "
            "that the provisioner is running and correctly registered."
        )
        self._states.tell(claim, Note("Normal", "ExternalProvisioning", message))

    async def _name_provisioner(self, claim: Obj, provisioner: str) -> Obj:
        if meta.annotations(claim).get(PROVISIONER) == provisioner:
            return claim
        changed = meta.copy_of(claim)
        meta.set_annotation(changed, BETA_PROVISIONER, provisioner)
        meta.set_annotation(changed, PROVISIONER, provisioner)
        return await self._client.update(PERSISTENT_VOLUME_CLAIMS, changed)

    async def _provision_here(self, claim: Obj, storage_class: Obj) -> None:
        assert self._local is not None
        if self._volumes.get(f"pvc-{meta.uid(claim)}") is not None:
            return
        selected = meta.annotations(claim).get(SELECTED_NODE)
        if selected is not None:
            node = self._nodes.get(selected)
            if node is None:
                self._fail(claim, f'Failed to get target node: node "{selected}" not found')
                await self._let_schedule_again(claim)
                return
        else:
            node = local_path.pick_node(self._nodes.list(), self._volumes.list())
        try:
            if node is None:
                raise ProvisioningError("no node is ready")
            volume = self._local.volume_for(claim, storage_class, node)
        except ProvisioningError as problem:
            name = meta.name(storage_class)
            self._fail(claim, f'Failed to provision volume with StorageClass "{name}": {problem}')
            await self._let_schedule_again(claim)
            return
        with contextlib.suppress(AlreadyExists):
            await self._client.create(PERSISTENT_VOLUMES, volume)
        message = f"Successfully provisioned volume {meta.name(volume)} using {LOCAL_PATH}"
        self._states.tell(claim, Note("Normal", "ProvisioningSucceeded", message))

    async def _let_schedule_again(self, claim: Obj) -> None:
        """Take the node off a claim that could not be had there: the scheduler chooses anew."""
        if SELECTED_NODE not in meta.annotations(claim):
            return
        changed = meta.copy_of(claim)
        del changed["metadata"]["annotations"][SELECTED_NODE]
        await self._client.update(PERSISTENT_VOLUME_CLAIMS, changed)

    # Volumes

    async def _volume(self, volume: Obj) -> Result:
        if self._local is not None and local_path.lacks_finalizer(volume):
            volume = await self._client.update(PERSISTENT_VOLUMES, local_path.guarded(volume))
        claim = await self._claim_of(volume)
        match plan_volume(volume, claim):
            case Fate.AVAILABLE:
                await self._states.write(volume, "Available")
            case Fate.BOUND:
                await self._states.write(volume, "Bound")
            case Fate.WAIT_FOR_CLAIM:
                assert claim is not None
                return await self._claim(claim)
            case Fate.MISMATCH:
                assert claim is not None
                on_volume, on_claim = mismatch_notes(volume, claim)
                self._states.tell(volume, on_volume)
                self._states.tell(claim, on_claim)
                return self._again
            case Fate.UNBIND:
                freed = await self._client.update(PERSISTENT_VOLUMES, unbound(volume))
                await self._states.write(freed, "Available")
            case Fate.RELEASE:
                if meta.status(volume).get("phase") not in _SETTLED:
                    volume = await self._states.write(volume, "Released")
                return await self._reclaimer.reclaim(volume)
        return Result.done()

    async def _claim_of(self, volume: Obj) -> Obj | None:
        """The claim of the name the volume has; asked of the server where the cache would have data deleted."""
        reference = meta.spec(volume).get("claimRef") or {}
        if not reference.get("uid"):
            return None
        name, namespace = str(reference.get("name")), str(reference.get("namespace") or "")
        cached = self._claims.get(name, namespace)
        is_settled = meta.status(volume).get("phase") in _SETTLED
        if cached is None and is_settled:
            return None
        if cached is not None and meta.uid(cached) == reference["uid"]:
            return cached
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound:
            return None

    def _fail(self, claim: Obj, message: str) -> None:
        self._states.tell(claim, Note("Warning", "ProvisioningFailed", message))


def _build(context: Context, options: BinderOptions) -> Controller[Key]:
    binder = Binder(context, options)
    watches = (
        Watch(PERSISTENT_VOLUMES, binder.volume_changed),
        Watch(PERSISTENT_VOLUME_CLAIMS, binder.claim_changed),
        Watch(STORAGE_CLASSES, binder.class_changed),
        Watch(PODS, binder.pod_changed),
    )
    return Controller(_NAME, watches, binder)


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES, PODS, NODES),
    BinderOptions,
    aliases=("persistentvolume-binder",),
    component="persistentvolume-controller",
)
