"""Which node needs which object, kept by following pods, volumes and attachments.

Instead of a graph that is walked, each object has the set of nodes that need it: pods name their objects, so a pod's
coming and going adds and removes entries. A volume is needed where its claim is.
"""

from collections import Counter

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.node import references
from controlplane.apiserver.authz.node.references import Reference
from controlplane.apiserver.followed import Changed, Followed
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.storage.volume_attachment import VOLUME_ATTACHMENTS
from controlplane.storage.watch_cache import WatchCache


class NodeGraph:
    """Answers whether a node needs an object."""

    def __init__(self, caches: WatchCache) -> None:
        self._pods = Followed(PODS, caches)
        self._volumes = Followed(PERSISTENT_VOLUMES, caches)
        self._attachments = Followed(VOLUME_ATTACHMENTS, caches)
        # Object -> node -> how many pods there need it.
        self._needed: dict[Reference, Counter[str]] = {}
        # Secret or volume -> the claims through which it is needed.
        self._through: dict[Reference, set[Reference]] = {}

    async def needs(self, node: str, reference: Reference) -> bool:
        """Whether something on the node refers to the object."""
        await self._refresh()
        if self._has(node, reference):
            return True
        if reference[0] == "volumeattachments":
            found = self._attachments.find("", reference[2])
            return found is not None and meta.spec(found).get("nodeName") == node
        return any(self._has(node, claim) for claim in self._through.get(reference, ()))

    def _has(self, node: str, reference: Reference) -> bool:
        nodes = self._needed.get(reference)
        return nodes is not None and node in nodes

    async def _refresh(self) -> None:
        changes = await self._pods.changes()
        if changes is None:
            self._needed.clear()
            changes = [Changed(key, None, pod) for key, pod in self._pods.items()]
        for change in changes:
            self._take(change)
        await self._attachments.changes()
        volumes = await self._volumes.changes()
        if volumes is None or volumes:
            self._take_volumes()

    def _take(self, change: Changed) -> None:
        before, after = _node(change.before), _node(change.after)
        if before and after and before == after and _is_same(change):
            # What a bound pod refers to does not change, and its status is written all the time.
            return
        if before and change.before is not None:
            for reference in references.of_pod(change.before):
                self._release(reference, before)
        if after and change.after is not None:
            for reference in references.of_pod(change.after):
                self._needed.setdefault(reference, Counter())[after] += 1

    def _release(self, reference: Reference, node: str) -> None:
        nodes = self._needed.get(reference)
        if nodes is None:
            return
        nodes[node] -= 1
        if nodes[node] <= 0:
            del nodes[node]
        if not nodes:
            del self._needed[reference]

    def _take_volumes(self) -> None:
        self._through.clear()
        for _, volume in self._volumes.items():
            claim = references.claim_of(volume)
            if claim is not None:
                for reference in references.of_volume(volume):
                    self._through.setdefault(reference, set()).add(claim)


def _node(pod: Obj | None) -> str:
    return str(meta.spec(pod).get("nodeName") or "") if pod is not None else ""


def _is_same(change: Changed) -> bool:
    before, after = change.before or {}, change.after or {}
    if meta.uid(before) != meta.uid(after):
        return False
    fields = ("ephemeralContainers",)
    if any(meta.spec(before).get(field) != meta.spec(after).get(field) for field in fields):
        return False
    claims = "resourceClaimStatuses"
    return bool(meta.status(before).get(claims) == meta.status(after).get(claims))
