"""DaemonSets: claim Pods and revisions, serve the nodes, roll, write the status, cut the history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Key, Obj
from controlplane.controllers.daemonset.plan import (
    BURST,
    HASH_LABEL,
    Plan,
    by_node,
    minimum_seconds,
    new_pod,
    plan_nodes,
    plan_rollout,
    plan_status,
    should_run,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.workloads.history import cut, keep_newest
from controlplane.controllers.workloads.pod_control import PodControl, PodControlError
from controlplane.controllers.workloads.pods import next_available_seconds
from controlplane.controllers.workloads.selected_by import concerned, owners_of, selector_of
from controlplane.kinds.apps.controller_revision import CONTROLLER_REVISIONS
from controlplane.kinds.apps.daemon_set import DAEMON_SETS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option
from kvstore.base.backoff import Backoff

# A Pod that fails again and again is killed ever less often, as upstream's failedPodsBackoff.
_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 900.0


@dataclass(frozen=True, slots=True)
class DaemonSetOptions:
    """What the controller can be told."""

    concurrent_daemonset_syncs: int = option(2, "DaemonSets worked on at a time")


class DaemonSetReconciler:
    """Serves the nodes of one DaemonSet."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._rng = context.rng
        self._recorder = context.recorder
        self._control = PodControl(context, DAEMON_SETS)
        self._sets = context.informers.of(DAEMON_SETS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._nodes = context.informers.of(NODES).indexer
        self._revisions = context.informers.of(CONTROLLER_REVISIONS).indexer
        self._failures: dict[tuple[str, int, str], tuple[Backoff, float]] = {}

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The sets a changed Pod concerns; settles expectations on the way."""
        self._control.saw(change)
        return concerned(change, DAEMON_SETS, self._sets)

    def revision_changed(self, change: Change) -> Iterable[Key]:
        """The set of a revision that was deleted or changed by others."""
        return owners_of(change, DAEMON_SETS)

    def node_changed(self, change: Change) -> Iterable[Key]:
        """Every set to whom the change of a node makes a difference."""
        old, new = change.old, change.new
        if old is not None and new is not None and _placing(old) == _placing(new):
            return ()
        return [
            meta.key_of(daemon)
            for daemon in self._sets.list()
            if old is None or new is None or should_run(daemon, old) != should_run(daemon, new)
        ]

    async def reconcile(self, key: Key) -> Result:
        """Serve one set's nodes."""
        daemon = self._sets.get(key.name, key.namespace)
        if daemon is None:
            self._control.forget(key)
            return Result.done()
        selector = selector_of(daemon)
        if selector.empty:
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self._recorder.event(daemon, "Warning", "SelectingAll", message)
            return Result.done()
        if meta.is_deleting(daemon):
            return Result.done()
        try:
            revisions = await claim(
                self._client, daemon, DAEMON_SETS, selector, CONTROLLER_REVISIONS,
                self._revisions.list(key.namespace),
            )  # fmt: skip
            pods = await claim(
                self._client, daemon, DAEMON_SETS, selector, PODS, self._pods.list(key.namespace)
            )
        except OwnerGone:
            return Result.done()
        collisions = int(meta.status(daemon).get("collisionCount") or 0)
        revision, collisions = await keep_newest(
            self._client, daemon, revisions, collisions, label=HASH_LABEL
        )
        text = meta.labels(revision).get(HASH_LABEL, meta.name(revision))
        nodes, placed, now = self._nodes.list(), by_node(pods), self._clock.time()
        error: APIError | None = None
        wait: float | None = None
        is_settled = self._control.is_settled(key)
        if is_settled:
            wait, error = await self._serve(daemon, nodes, placed, text, now)
        status = plan_status(daemon, nodes, placed, text, now, observed=is_settled)
        if collisions:
            status["collisionCount"] = collisions
        if status != meta.status(daemon):
            await self._client.update_status(DAEMON_SETS, {**daemon, "status": status})
        if error is not None:
            raise error
        if is_settled:
            await self._cut_history(daemon, revisions, revision, pods)
        waits = [wait, next_available_seconds(pods, minimum_seconds(daemon), now)]
        due = [seconds for seconds in waits if seconds is not None]
        return Result.after(min(due)) if due else Result.done()

    async def _serve(
        self,
        daemon: Obj,
        nodes: Sequence[Obj],
        placed: Mapping[str, Sequence[Obj]],
        text: str,
        now: float,
    ) -> tuple[float | None, APIError | None]:
        """Act on the plan; how long a failed Pod has to wait yet, and the first refusal."""
        plan, wait = self._patient(daemon, plan_nodes(daemon, nodes, placed, text, now))
        for reason, pod, node in plan.found:
            state, kind = (
                ("failed", "Warning") if reason.startswith("F") else ("succeeded", "Normal")
            )
            verb = "kill" if state == "failed" else "delete"
            name = f"{meta.namespace(pod)}/{meta.name(pod)}"
            message = f"Found {state} daemon pod {name} on node {node}, will try to {verb} it"
            self._recorder.event(daemon, kind, reason, message)
        error = await self._act(daemon, plan, text)
        if error is not None or not self._control.is_settled(meta.key_of(daemon)):
            return wait, error
        strategy = (meta.spec(daemon).get("updateStrategy") or {}).get("type")
        if strategy == "RollingUpdate":
            error = await self._act(daemon, plan_rollout(daemon, nodes, placed, text, now), text)
        return wait, error

    def _patient(self, daemon: Obj, plan: Plan) -> tuple[Plan, float | None]:
        """The plan without failed Pods whose successors failed a moment ago; how long these wait yet."""
        now, waits, held = self._clock.monotonic(), [], set()
        for reason, pod, node in plan.found:
            if reason != "FailedDaemonPod":
                continue
            key = (meta.uid(daemon), meta.generation(daemon), node)
            backoff, until = self._failures.get(key, (None, float("-inf")))
            if now < until:
                held.add(meta.uid(pod))
                waits.append(until - now)
                continue
            backoff = backoff or Backoff(_FIRST_SECONDS, _LONGEST_SECONDS, rng=self._rng)
            self._failures[key] = (backoff, now + backoff.next())
        if not held:
            return plan, None
        return Plan(
            plan.create,
            tuple(pod for pod in plan.delete if meta.uid(pod) not in held),
            tuple(entry for entry in plan.found if meta.uid(entry[1]) not in held),
        ), min(waits)

    async def _act(self, daemon: Obj, plan: Plan, text: str) -> APIError | None:
        error: APIError | None = None
        pods = [new_pod(daemon, node, text) for node in plan.create[:BURST]]
        for act, what in (
            (self._control.create, pods),
            (self._control.delete, plan.delete[:BURST]),
        ):
            if not what:
                continue
            try:
                await act(daemon, what)
            except PodControlError as failed:
                error = error or failed.error
        return error

    async def _cut_history(
        self, daemon: Obj, revisions: Sequence[Obj], current: Obj, pods: Sequence[Obj]
    ) -> None:
        hashes = {meta.labels(pod).get(HASH_LABEL) for pod in pods}
        live = {meta.name(r) for r in revisions if meta.labels(r).get(HASH_LABEL) in hashes}
        limit = meta.spec(daemon).get("revisionHistoryLimit")
        live.add(meta.name(current))
        await cut(self._client, revisions, live, 10 if limit is None else int(limit))


def _placing(node: Obj) -> tuple[object, ...]:
    """What of a node decides whether daemons run there."""
    return meta.labels(node), meta.spec(node).get("taints")


def _build(context: Context, options: DaemonSetOptions) -> Controller[Key]:
    reconciler = DaemonSetReconciler(context)
    watches = (
        Watch(DAEMON_SETS, to_itself),
        Watch(PODS, reconciler.pod_changed),
        Watch(NODES, reconciler.node_changed),
        Watch(CONTROLLER_REVISIONS, reconciler.revision_changed),
    )
    return Controller(
        "daemonset-controller", watches, reconciler, workers=options.concurrent_daemonset_syncs
    )


DESCRIPTOR = Descriptor(
    "daemonset-controller",
    _build,
    (DAEMON_SETS, PODS, NODES, CONTROLLER_REVISIONS),
    DaemonSetOptions,
    aliases=("daemonset",),
)
