"""Takes volumes back whose claims are gone, as their policy says.

Before anything is deleted the server itself is asked whether the volume is released: a cache that is late must not cost
anybody's data.
"""

import contextlib

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.pvbinder import local_path
from controlplane.controllers.pvbinder.local_path import LocalPath
from controlplane.controllers.pvbinder.plan import Note, is_released
from controlplane.controllers.pvbinder.states import States
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.binding import PROVISIONED_BY
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import claims_of, is_ended


class Reclaimer:
    """Deletes, refuses to recycle, or leaves alone."""

    def __init__(
        self, context: Context, states: States, local: LocalPath | None, again: Result
    ) -> None:
        self._client = context.client
        self._states = states
        self._local = local
        self._again = again
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._nodes = context.informers.of(NODES).indexer

    async def reclaim(self, volume: Obj) -> Result:
        """One step of a volume that is released."""
        policy = meta.spec(volume).get("persistentVolumeReclaimPolicy")
        if policy == "Recycle":
            return await self._refuse_recycling(volume)
        if policy != "Delete":
            if local_path.FINALIZER in meta.finalizers(volume):
                await self._client.update(PERSISTENT_VOLUMES, local_path.unguarded(volume))
            return Result.done()
        if self._local is not None and local_path.is_ours(volume):
            return await self._delete_here(volume, self._local)
        maker = meta.annotations(volume).get(PROVISIONED_BY) or ""
        is_external = (maker and not maker.startswith("kubernetes.io/")) or (
            meta.spec(volume).get("csi") is not None and not maker
        )
        if not is_external:
            why = "no deletable volume plugin matched"
            await self._states.fail(
                volume,
                "VolumeFailedDelete",
                why
                if maker
                else f'error getting deleter volume plugin for volume "{meta.name(volume)}": {why}',
            )
        return Result.done()

    async def _refuse_recycling(self, volume: Obj) -> Result:
        reference = meta.spec(volume).get("claimRef") or {}
        namespace, name = str(reference.get("namespace") or ""), str(reference.get("name") or "")
        users = sorted(
            f"{namespace}/{meta.name(pod)}"
            for pod in self._pods.list(namespace)
            if name in claims_of(pod) and not is_ended(pod)
        )
        if users and self._claims.get(name, namespace) is None:
            message = f"Volume is used by pods: {','.join(users)}"
            self._states.tell(volume, Note("Normal", "VolumeFailedRecycle", message))
            return self._again
        await self._states.fail(
            volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!"
        )
        return Result.done()

    async def _delete_here(self, volume: Obj, local: LocalPath) -> Result:
        """Have the folder removed by a pod on its node, then let the volume go."""
        node = local_path.node_of(volume, self._nodes.list())
        name = local_path.removal_name(volume)
        pod = self._pods.get(name, local_path.NAMESPACE)
        if node is not None and not _has_succeeded(pod):
            if not await self._may_go(volume):
                return Result.done()
            if pod is not None and is_ended(pod):
                message = f"the pod {local_path.NAMESPACE}/{name} could not remove the folder"
                await self._states.fail(volume, "VolumeFailedDelete", message)
                await self.end(pod)
            elif pod is None:
                with contextlib.suppress(AlreadyExists):
                    await self._client.create(PODS, local.removal(volume, meta.name(node)))
            return self._again
        if await self._may_go(volume):
            await self._let_go(volume)
        return Result.done()

    async def _let_go(self, volume: Obj) -> None:
        """Delete the volume, then its finalizer: the other way round it would be put on again."""
        with contextlib.suppress(NotFound):
            await self._client.delete(PERSISTENT_VOLUMES, meta.name(volume), uid=meta.uid(volume))
            fresh = await self._client.get(PERSISTENT_VOLUMES, meta.name(volume))
            if local_path.FINALIZER in meta.finalizers(fresh):
                await self._client.update(PERSISTENT_VOLUMES, local_path.unguarded(fresh))

    async def _may_go(self, volume: Obj) -> bool:
        """Whether the volume is released by the server's own word: data are not lost for a late cache."""
        try:
            fresh = await self._client.get(PERSISTENT_VOLUMES, meta.name(volume))
        except NotFound:
            return False
        reference = meta.spec(fresh).get("claimRef") or {}
        try:
            claim: Obj | None = await self._client.get(
                PERSISTENT_VOLUME_CLAIMS,
                str(reference.get("name")),
                str(reference.get("namespace") or ""),
            )
        except NotFound:
            claim = None
        return is_released(fresh, claim)

    async def end(self, pod: Obj) -> None:
        """Delete a pod that removed a folder; gone ones are fine."""
        with contextlib.suppress(APIError):
            await self._client.delete(
                PODS, meta.name(pod), meta.namespace(pod), uid=meta.uid(pod), grace_period_seconds=0
            )


def _has_succeeded(pod: Obj | None) -> bool:
    return pod is not None and meta.status(pod).get("phase") == "Succeeded"
