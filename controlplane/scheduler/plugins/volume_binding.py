"""VolumeBinding: a pod runs where its volumes are, or where they can be.

Claims that have a volume filter by the volume's node affinity. Claims that wait for their first pod get, node by node,
the smallest free volume that fits, or the promise that one will be made there; the choice is counted when the pod is
given a node (`reserve`), written before the binding (`pre_bind`), and the pod is bound once the binder has joined claim
and volume together. All other claims must have their volume before the pod is tried.
Source: pkg/scheduler/framework/plugins/volumebinding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.api import meta, quantity
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj, View
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.client.indexer import Indexer, object_key
from controlplane.client.leader import NotLeader
from controlplane.kinds.core.persistent_volume.binding import (
    NO_PROVISIONER,
    SELECTED_NODE,
    WAITS,
    best_match,
    bound_to,
    is_fully_bound,
    reaches,
    size_of,
)
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import (
    PERSISTENT_VOLUME_CLAIMS,
    storage_class_of,
)
from controlplane.kinds.storage.csi_driver import CSI_DRIVERS
from controlplane.kinds.storage.csi_storage_capacity import CSI_STORAGE_CAPACITIES
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.claims import (
    CLASSES,
    VOLUMES,
    WHEN_CLAIMS_CHANGE,
    is_made_for,
    not_found,
    uses_of,
)
from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SKIP, SUCCESS, Status, error, unresolvable

NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NO_MATCH = "node(s) didn't find available persistent volumes to bind"
NO_SPACE = "node(s) did not have enough free storage"
NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"

BIND_TIMEOUT_SECONDS = 600.0
_POLL_SECONDS = 0.05
_CAPACITIES = "csistoragecapacities.storage.k8s.io"
_DRIVERS = "csidrivers.storage.k8s.io"


@dataclass(slots=True)
class _Plan:
    """What the claims of a pod get on one node."""

    bindings: list[tuple[Obj, Obj]] = field(default_factory=list)
    """Volume and claim."""
    provisions: list[Obj] = field(default_factory=list)


@dataclass(slots=True)
class _Claims:
    """The claims of a pod, by what they need, and the plans made for nodes."""

    bound: list[Obj]
    waiting: list[Obj]
    plans: dict[str, _Plan] = field(default_factory=dict)


_STATE: StateKey[_Claims] = StateKey("VolumeBinding")


class _Assumed:
    """A cache with what this scheduler has decided and the API server has not shown yet."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self._assumed: dict[str, tuple[str, Obj]] = {}

    def get(self, name: str, namespace: str = "") -> Obj | None:
        """The object with the decision in it, while the cache shows the version it was made on."""
        return self._with_decision(self._indexer.get(name, namespace))

    def list(self) -> list[Obj]:
        """All objects."""
        return [self._with_decision(one) or one for one in self._indexer.list()]

    def assume(self, obj: Obj) -> None:
        """Keep a decided object."""
        self._assumed[object_key(obj)] = (meta.resource_version(obj), obj)

    def restore(self, obj: Obj) -> None:
        """Forget the decision."""
        self._assumed.pop(object_key(obj), None)

    def _with_decision(self, obj: Obj | None) -> Obj | None:
        if obj is None or not self._assumed:
            return obj
        key = object_key(obj)
        decided = self._assumed.get(key)
        if decided is None:
            return obj
        if decided[0] == meta.resource_version(obj):
            return decided[1]
        del self._assumed[key]
        return obj


def _class_may_help(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A new class, or other topologies of one."""
    if old is None or new is None:
        return True
    return bool(old.get("allowedTopologies") != new.get("allowedTopologies"))


def _more_capacity(pod: PodInfo, old: View | None, new: View | None) -> bool:
    if old is None or new is None:
        return True
    before, now = _limit(old), _limit(new)
    return now is not None and (before is None or now > before)


class VolumeBinding:
    """Filter, and what follows from a decision."""

    name = "VolumeBinding"
    events = (
        *WHEN_CLAIMS_CHANGE,
        cluster.Wake(cluster.added(CLASSES), _class_may_help),
        cluster.Wake(cluster.changed(CLASSES), _class_may_help),
        *cluster.on(cluster.added(VOLUMES), cluster.changed(VOLUMES)),
        *cluster.on(cluster.NODE_ADDED, cluster.NODE_LABELS),
        *cluster.on(cluster.changed(_DRIVERS)),
        cluster.Wake(cluster.added(_CAPACITIES), _more_capacity),
        cluster.Wake(cluster.changed(_CAPACITIES), _more_capacity),
    )

    def __init__(self, handle: Handle, args: View) -> None:
        """VolumeBindingArgs: `bindTimeoutSeconds`."""
        self._client = handle.client
        self._clock = handle.clock
        self._claims = _Assumed(handle.cache_of(PERSISTENT_VOLUME_CLAIMS))
        self._volumes = _Assumed(handle.cache_of(PERSISTENT_VOLUMES))
        self._fresh_claims = handle.cache_of(PERSISTENT_VOLUME_CLAIMS)
        self._fresh_volumes = handle.cache_of(PERSISTENT_VOLUMES)
        self._classes = handle.cache_of(STORAGE_CLASSES)
        self._drivers = handle.cache_of(CSI_DRIVERS)
        self._capacities = handle.cache_of(CSI_STORAGE_CAPACITIES)
        self._timeout_seconds = float(args.get("bindTimeoutSeconds") or BIND_TIMEOUT_SECONDS)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Refuse the pod while a claim is missing or must be bound first."""
        uses = uses_of(pod)
        if not uses:
            return SKIP
        bound: list[Obj] = []
        waiting: list[Obj] = []
        immediate = False
        for use in uses:
            claim = self._claims.get(use.name, pod.namespace)
            if claim is None:
                return unresolvable(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim "
                    f'"{use.name}"'
                    if use.is_ephemeral
                    else not_found("persistentvolumeclaim", use.name)
                )
            why = _unusable(claim)
            if why:
                return unresolvable(why)
            if use.is_ephemeral and not is_made_for(claim, pod):
                return unresolvable(
                    f"PVC {pod.namespace}/{use.name} was not created for pod "
                    f"{pod.namespace}/{pod.name} (pod is not owner)"
                )
            if is_fully_bound(claim):
                bound.append(claim)
            elif self._waits(claim) and not meta.spec(claim).get("volumeName"):
                waiting.append(claim)
            else:
                immediate = True
        if immediate:
            return unresolvable(UNBOUND)
        state.put(_STATE, _Claims(bound, waiting))
        return SUCCESS

    def _waits(self, claim: Obj) -> bool:
        found = self._classes.get(storage_class_of(claim))
        return found is not None and found.get("volumeBindingMode") == WAITS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes that cannot have all volumes."""
        claims, there = state.get(_STATE), _node_of(node)
        reasons: list[str] = []
        for claim in claims.bound:
            volume = self._volumes.get(str(meta.spec(claim)["volumeName"]))
            if volume is None:
                reasons.append(NO_VOLUME)
            elif not reaches(volume, there):
                reasons.append(NODE_CONFLICT)
        plan, why = self._plan(claims.waiting, there)
        if why:
            reasons.append(why)
        if reasons:
            return unresolvable(*sorted(set(reasons), key=reasons.index))
        claims.plans[node.name] = plan
        return SUCCESS

    def _plan(self, claims: Sequence[Obj], node: Obj) -> tuple[_Plan, str]:
        """What the waiting claims get on a node, or why they cannot."""
        plan = _Plan()
        taken: set[str] = set()
        volumes = self._volumes.list() if claims else []
        for claim in sorted(claims, key=lambda one: size_of(meta.spec(one))):
            selected = meta.annotations(claim).get(SELECTED_NODE)
            if selected is not None:
                if selected != meta.name(node):
                    return plan, NO_MATCH
                plan.provisions.append(claim)
                continue
            wanted = storage_class_of(claim)
            some = [volume for volume in volumes if storage_class_of(volume) == wanted]
            volume = best_match(claim, some, waits=True, node=node, taken=taken)
            if volume is None:
                plan.provisions.append(claim)
            else:
                taken.add(meta.name(volume))
                plan.bindings.append((volume, claim))
        for claim in plan.provisions:
            why = self._cannot_make(claim, node)
            if why:
                return plan, why
        return plan, ""

    def _cannot_make(self, claim: Obj, node: Obj) -> str:
        found = self._classes.get(storage_class_of(claim))
        provisioner = str((found or {}).get("provisioner") or "")
        if found is None or not provisioner or provisioner == NO_PROVISIONER:
            return NO_MATCH
        if not _in_topology(found, meta.labels(node)):
            return NO_MATCH
        driver = self._drivers.get(provisioner)
        if driver is None or not meta.spec(driver).get("storageCapacity"):
            return ""
        size = size_of(meta.spec(claim))
        for capacity in self._capacities.list():
            limit = _limit(capacity)
            if (
                capacity.get("storageClassName") == meta.name(found)
                and limit is not None
                and limit >= size
                and LabelSelector.from_object(capacity.get("nodeTopology")).matches(
                    meta.labels(node)
                )
            ):
                return ""
        return NO_SPACE

    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Count the choice, so that the next pod does not choose the same volume."""
        plan = self._plan_of(state, node_name)
        if plan is None:
            return SUCCESS
        bindings = [(bound_to(volume, claim), claim) for volume, claim in plan.bindings]
        provisions = [_selected(claim, node_name) for claim in plan.provisions]
        for volume, _ in bindings:
            self._volumes.assume(volume)
        for claim in provisions:
            self._claims.assume(claim)
        state.get(_STATE).plans[node_name] = _Plan(bindings, provisions)
        return SUCCESS

    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Forget the choice; what was written stays, and the next try finds it."""
        plan = self._plan_of(state, node_name)
        if plan is None:
            return
        for volume, _ in plan.bindings:
            self._volumes.restore(volume)
        for claim in plan.provisions:
            self._claims.restore(claim)

    def _plan_of(self, state: CycleState, node_name: str) -> _Plan | None:
        return state.get(_STATE).plans.get(node_name) if state.has(_STATE) else None

    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Write the choice and wait until all claims are bound."""
        plan = self._plan_of(state, node_name)
        if plan is None or not (plan.bindings or plan.provisions):
            return SUCCESS
        try:
            volumes = [await self._write(PERSISTENT_VOLUMES, one) for one, _ in plan.bindings]
            claims = [await self._write(PERSISTENT_VOLUME_CLAIMS, one) for one in plan.provisions]
        except (APIError, NotLeader) as problem:
            return error(str(problem))
        waiting = [claim for _, claim in plan.bindings]
        until = self._clock.monotonic() + self._timeout_seconds
        while True:
            why, is_done = self._progress(volumes, waiting, claims, node_name)
            if why:
                return error(f"binding volumes: {why}")
            if is_done:
                return SUCCESS
            if self._clock.monotonic() >= until:
                return error("binding volumes: context deadline exceeded")
            await self._clock.sleep(_POLL_SECONDS)

    async def _write(self, resource: Resource, obj: Obj) -> Obj:
        cache = self._fresh_volumes if resource is PERSISTENT_VOLUMES else self._fresh_claims
        shown = cache.get(meta.name(obj), meta.namespace(obj))
        if shown is not None and shown == obj:
            return obj
        return await self._client.update(resource, obj)

    def _progress(
        self,
        volumes: Sequence[Obj],
        waiting: Sequence[Obj],
        provisions: Sequence[Obj],
        node_name: str,
    ) -> tuple[str, bool]:
        """Why the binding has failed, and whether it is complete."""
        is_done = True
        for volume, claim in zip(volumes, waiting, strict=True):
            shown = self._fresh_volumes.get(meta.name(volume))
            owner = self._fresh_claims.get(meta.name(claim), meta.namespace(claim))
            if shown is None or owner is None:
                return f"failed to check binding of {meta.name(claim)}", False
            if _is_older(shown, volume):
                is_done = False
                continue
            if not (meta.spec(shown).get("claimRef") or {}).get("uid"):
                return f'ClaimRef got reset for pv "{meta.name(volume)}"', False
            is_done = is_done and is_fully_bound(owner)
        for claim in provisions:
            shown = self._fresh_claims.get(meta.name(claim), meta.namespace(claim))
            if shown is None:
                return f"failed to check provisioning pvc {meta.name(claim)}", False
            if _is_older(shown, claim):
                is_done = False
                continue
            if meta.annotations(shown).get(SELECTED_NODE) != node_name:
                return f'provisioning failed for PVC "{meta.name(claim)}"', False
            is_done = is_done and is_fully_bound(shown)
        return "", is_done


def _node_of(node: NodeInfo) -> Obj:
    return dict(node.node or {"metadata": {"name": node.name}})


def _unusable(claim: Obj) -> str:
    name = meta.name(claim)
    if meta.status(claim).get("phase") == "Lost":
        volume = meta.spec(claim).get("volumeName") or ""
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
    return f'persistentvolumeclaim "{name}" is being deleted' if meta.is_deleting(claim) else ""


def _selected(claim: Obj, node_name: str) -> Obj:
    if meta.annotations(claim).get(SELECTED_NODE) == node_name:
        return claim
    changed = meta.copy_of(claim)
    meta.set_annotation(changed, SELECTED_NODE, node_name)
    return changed


def _is_older(shown: Obj, written: Obj) -> bool:
    """Whether the cache has not seen yet what was written: revisions of one store grow."""
    return int(meta.resource_version(shown) or 0) < int(meta.resource_version(written) or 0)


def _in_topology(storage_class: Obj, labels: Mapping[str, str]) -> bool:
    """Whether a node is in one of the topologies the class allows; none named allows all."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(
        all(
            labels.get(str(row.get("key"))) in (row.get("values") or ())
            for row in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )


def _limit(capacity: View) -> int | None:
    for key in ("maximumVolumeSize", "capacity"):
        if capacity.get(key) is not None:
            return quantity.value(capacity[key])
    return None
