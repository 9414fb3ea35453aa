"""Makes a claim for each ephemeral volume of a pod; it goes with the pod.

A claim of that name that belongs to somebody else is left alone, and the pod is told.
Source: pkg/controller/volume/ephemeral.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS

_NAME = "ephemeral-volume-controller"


def claim_for(pod: Obj, volume: Obj) -> Obj:
    """The claim of an ephemeral volume."""
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}
    metadata = template.get("metadata") or {}
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": meta.name(pod),
        "uid": meta.uid(pod),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    made = {
        "name": f"{meta.name(pod)}-{volume.get('name') or ''}",
        "ownerReferences": [owner],
        **{key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)},
    }
    return {"metadata": made, "spec": template.get("spec") or {}}


def _volumes(pod: Obj) -> list[Obj]:
    return [row for row in meta.spec(pod).get("volumes") or () if row.get("ephemeral") is not None]


def belongs_to(claim: Obj, pod: Obj) -> bool:
    """Whether the claim was made for this pod."""
    owners = meta.metadata(claim).get("ownerReferences") or ()
    return any(row.get("controller") and row.get("uid") == meta.uid(pod) for row in owners)


class EphemeralVolumes:
    """Makes the claims of one pod."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._pods = context.informers.of(PODS).indexer
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """A pod that has such volumes."""
        pod = change.new
        if pod is None or meta.is_deleting(pod) or not _volumes(pod):
            return ()
        return (Key(meta.namespace(pod), meta.name(pod)),)

    def claim_changed(self, change: Change) -> Iterable[Key]:
        """The pod whose claim was deleted."""
        if change.new is not None:
            return ()
        owners = meta.metadata(change.object).get("ownerReferences") or ()
        namespace = meta.namespace(change.object)
        return [
            Key(namespace, str(row.get("name")))
            for row in owners
            if row.get("controller") and row.get("kind") == "Pod"
        ]

    async def reconcile(self, key: Key) -> Result:
        """Make what is missing."""
        pod = self._pods.get(key.name, key.namespace)
        if pod is None or meta.is_deleting(pod):
            return Result.done()
        for volume in _volumes(pod):
            wanted = claim_for(pod, volume)
            name = meta.name(wanted)
            existing = self._claims.get(name, key.namespace)
            if existing is not None:
                if not belongs_to(existing, pod):
                    raise ValueError(
                        f'PVC "{key.namespace}/{name}" was not created for pod "{key}"'
                    )
                continue
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIMS, wanted, key.namespace)
            except AlreadyExists:
                continue  # the cache is late
        return Result.done()


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    reconciler = EphemeralVolumes(context)
    watches = (
        Watch(PODS, reconciler.pod_changed),
        Watch(PERSISTENT_VOLUME_CLAIMS, reconciler.claim_changed),
    )
    return Controller(_NAME, watches, reconciler)


DESCRIPTOR = Descriptor(
    _NAME, _build, (PODS, PERSISTENT_VOLUME_CLAIMS), NoOptions, aliases=("ephemeral-volume",)
)
