"""The shell around plan.py for one pod: observe, plan, act, tell - again after every change.

Stops, probes and status writes run beside the loop, so that neither a slow preStop hook nor an absent API server
holds up the other containers.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from controlplane.api import times
from controlplane.api.meta import View
from controlplane.kinds.core.pod.views import is_ended
from controlplane.kubelet.pods import plan as planning
from controlplane.kubelet.pods.admission import Rejection, Room
from controlplane.kubelet.pods.allocation import Allocation
from controlplane.kubelet.pods.history import earlier_runs
from controlplane.kubelet.pods.hooks import run_hook
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.plan import (
    Outcome,
    Plan,
    PodView,
    StartContainer,
    StartSandbox,
    StopContainer,
)
from controlplane.kubelet.pods.resize import with_resources
from controlplane.kubelet.pods.resizer import Resizer
from controlplane.kubelet.pods.sandbox import PodSandbox
from controlplane.kubelet.pods.starter import ContainerStarter
from controlplane.kubelet.pods.status import pod_status, rejected_status
from controlplane.kubelet.pods.status_writer import StatusWriter
from controlplane.kubelet.pods.wake import Wake
from controlplane.kubelet.probes.interface import Target
from controlplane.kubelet.probes.prober import Prober, first_verdict, has_probes
from controlplane.kubelet.runtimes.interface import (
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
)
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("worker")

FORCED_GRACE_SECONDS = 1.0
"""What containers of a pod get whose object is gone already."""
EVICTED_GRACE_SECONDS = 1.0
"""What upstream grants to pods that went beyond their limits of disk."""
KEPT_RUNS = 2
"""Runs of a container whose log is kept: this one and the one before."""


class PodWorker:
    """Looks after one pod, by uid, until it is gone."""

    def __init__(self, node: Node, pod: View) -> None:
        self._node = node
        self._pod = pod
        self.rejection: Rejection | None = None
        """Why the pod is not run here; to be set before `run`."""
        self.room: Callable[[], Room] | None = None
        """What there is besides this pod; without it no change of resources is granted."""
        self._over = False
        self._uid = str(pod["metadata"]["uid"])
        self._wake = Wake(node.clock)
        self._writer = StatusWriter(node.client, pod, node.clock, node.rng)
        self._supervisor = Supervisor(f"pod {pod['metadata']['name']}")
        self._object_gone = False
        self._stopping: set[str] = set()
        self._backoffs: dict[str, planning.CrashBackoff] = {}
        self._backing_off: set[str] = set()
        self._probers: dict[str, tuple[Prober, asyncio.Task[None]]] = {}
        self._outcome: Outcome | None = None
        self._last_words: dict[str, str] = {}
        now = node.clock.time()
        facts = {"HOST_IP": node.ip, "NODE_NAME": node.name}
        facts |= {f"allocatable.{name}": amount for name, amount in node.allocatable.items()}
        self._ground = PodSandbox(node, pod, self._emit, facts)
        known = {status.name for status in node.runtime.list_containers(self._uid)}
        earlier, rerun = earlier_runs(pod, now)
        # What outlived the kubelet did not end with it.
        self._earlier = {name: run for name, run in earlier.items() if name not in known}
        self._rerun = rerun - known
        started = times.parse_or_none((pod.get("status") or {}).get("startTime"))
        self._started_at = started or now
        self._starter = ContainerStarter(node, self._emit, facts, self._supervisor, self._wake.call)
        self._allocation = Allocation(node.root / "pods" / self._uid / "allocation.json", pod)
        self._resizer = Resizer(node, self._allocation, self._emit)

    @property
    def pod(self) -> View:
        """The pod as last seen, with the resources that it was granted."""
        return with_resources(self._pod, self._allocation.allocated)

    @property
    def takes_room(self) -> bool:
        """Whether resources and ports of the node are the pod's."""
        return self.rejection is None and not self._over

    def evict(self, message: str) -> None:
        """End the pod for what it did to the node."""
        if self._outcome is None and not self._deleting:
            self._outcome = Outcome("Failed", "Evicted", message, EVICTED_GRACE_SECONDS)
            self._emit("Warning", "Evicted", message)
            self._wake.call()

    def update(self, pod: View) -> None:
        """The watch showed a new version."""
        self._pod = pod
        self._writer.seen(pod)
        self._ground.update(pod)
        self._wake.call()

    def object_deleted(self) -> None:
        """The object is gone; containers that still run are to end quickly."""
        self._object_gone = True
        self._wake.call()

    def poke(self) -> None:
        """A container changed its state."""
        self._wake.call()

    async def run(self) -> None:
        """Until the pod is gone, from here and from the API server."""
        self._supervisor.start(self._writer.run(), "status")
        gone = False
        try:
            if self.rejection is not None:
                self._emit("Warning", self.rejection.reason, self.rejection.message)
                status = rejected_status(self._pod, self.rejection, self._started_at)
                self._writer.want(status)
                await self._sit_out(status)
            elif is_ended(self._pod):
                await self._sit_out(self._pod.get("status") or {})
            while True:
                await self._hear_last_words()
                if self._outcome is None and not self._deleting:
                    await self._resizer.resize(self._pod, self.room)
                view = self._observe()
                plan = planning.make_plan(view)
                self._outcome = plan.outcome
                await self._act(view, plan)
                await self._hear_last_words()
                after = self._observe()
                self._over = plan.outcome is not None and self._all_ended(after)
                if self._finished(after):
                    gone = True
                    break
                if self._resizer.retry_at is not None:
                    plan.wake(self._resizer.retry_at)
                self._tell(after, plan)
                await self._wake.wait(self._seconds_to_sleep(plan))
        finally:
            await self._supervisor.stop()
            if gone:
                await self._ground.remove()

    async def _sit_out(self, status: View) -> None:
        """A pod that is not run, or had ended before the kubelet started: only its deletion is left to do."""
        self._over = True
        while not (self._deleting or self._object_gone):
            await self._wake.wait()
        if not self._object_gone:
            self._writer.want(dict(status), remove=True)
            while not (self._writer.gone or self._object_gone):
                await self._wake.wait(1.0)
        self._object_gone = True

    @property
    def _deleting(self) -> bool:
        return bool(self._pod["metadata"].get("deletionTimestamp"))

    async def _hear_last_words(self) -> None:
        """Read, once, what containers that have ended left as their message."""
        for status in self._node.runtime.list_containers(self._uid):
            if status.state is ContainerState.EXITED and status.id not in self._last_words:
                spec = self._spec_of(status.name)
                self._last_words[status.id] = await self._starter.last_words(spec, status)

    def _with_last_words(self, status: ContainerStatus) -> ContainerStatus:
        words = self._last_words.get(status.id, "")
        return replace(status, message=words) if words and not status.message else status

    def _observe(self) -> PodView:
        newest, previous = dict(self._earlier), {}
        for status in self._node.runtime.list_containers(self._uid):
            status = self._with_last_words(status)
            if status.name in newest:
                previous[status.name] = newest[status.name]
            newest[status.name] = status
        self._sync_probers(newest)
        running = [n for n, s in newest.items() if s.state is ContainerState.RUNNING]
        verdicts = {
            name: self._probers[status.id][0].verdict
            for name, status in newest.items()
            if status.id in self._probers
        }
        return PodView(
            pod=self.pod,
            now=self._node.clock.time(),
            sandbox=self._ground.current,
            containers=newest,
            previous=previous,
            rerun=self._rerun,
            backoffs=self._backoffs,
            blocked=self._starter.blocked,
            verdicts=verdicts,
            resized=self._resizer.restarts(self._pod, newest),
            actual={n: self._allocation.actual[n] for n in running if n in self._allocation.actual},
            resizing=self._resizer.conditions,
            stopping=frozenset(self._stopping),
            deleting=self._deleting or self._object_gone,
            started_at=self._started_at,
            outcome=self._outcome,
        )

    async def _act(self, view: PodView, plan: Plan) -> None:
        for action in plan.actions:
            if isinstance(action, StartSandbox):
                if not await self._ground.ensure(self._pod, self._supervisor):
                    plan.wake(self._ground.retry_at)
                    return
            elif isinstance(action, StartContainer):
                await self._start_container(view, plan, action)
            elif isinstance(action, StopContainer):
                self._stopping.add(action.name)
                self._emit("Normal", "Killing", action.message)
                self._supervisor.start(self._stop(action), f"stop {action.name}")
            else:
                await self._ground.stop()
                self._wake.call()
        self._report_backoffs(plan)

    async def _start_container(self, view: PodView, plan: Plan, action: StartContainer) -> None:
        box = self._ground.current
        if box is None:
            return
        if not await self._ground.ensure_volumes(self._pod, self._supervisor):
            plan.wake(self._ground.retry_at)
            return
        spec = self._spec_of(action.name)
        self._allocation.give(action.name)
        started = await self._starter.start(
            self.pod, spec, action.attempt, box, self._ground.volumes
        )
        self._backing_off.discard(action.name)
        if not started:
            blocked = self._starter.blocked[action.name]
            plan.waiting[action.name] = blocked
            plan.wake(blocked.until)
            return
        self._rerun -= {action.name}
        if action.backoff is not None:
            self._backoffs[action.name] = action.backoff
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook:
            self._supervisor.start(self._post_start(spec, hook), f"postStart {action.name}")
        # What runs at once may end at once, or let the next init container start.
        self._wake.call()
        await self._forget_old_runs(action.name)

    async def _forget_old_runs(self, name: str) -> None:
        runs = [s for s in self._node.runtime.list_containers(self._uid) if s.name == name]
        for old in runs[:-KEPT_RUNS]:
            await self._node.runtime.remove_container(old.id)

    async def _stop(self, action: StopContainer) -> None:
        runtime, clock = self._node.runtime, self._node.clock
        grace = FORCED_GRACE_SECONDS if self._object_gone else action.grace_seconds
        begin = clock.monotonic()
        try:
            await self._pre_stop(action, grace)
            left = max(0.0, grace - (clock.monotonic() - begin))
            # Upstream grants two seconds to a container whose hook used up the grace.
            await runtime.stop_container(action.container_id, left or (2.0 if grace else 0.0))
        except (ContainerRuntimeError, KeyError) as problem:
            _log.debug("container not stopped", container=action.name, error=str(problem))
        finally:
            self._stopping.discard(action.name)
            self._wake.call()

    async def _pre_stop(self, action: StopContainer, grace: float) -> None:
        spec = self._spec_of(action.name)
        hook = (spec.get("lifecycle") or {}).get("preStop")
        target = self._target(spec, action.container_id)
        if not hook or target is None or grace <= 0:
            return
        problem = await run_hook(target, hook, self._node.clock, grace_seconds=grace)
        if problem is not None:
            self._emit("Warning", "FailedPreStopHook", f"PreStopHook failed: {problem}")

    async def _post_start(self, spec: View, hook: View) -> None:
        runs = [s for s in self._node.runtime.list_containers(self._uid) if s.name == spec["name"]]
        target = self._target(spec, runs[-1].id) if runs else None
        if target is None:
            return
        problem = await run_hook(target, hook, self._node.clock)
        if problem is None or runs[-1].id not in {
            s.id for s in self._node.runtime.list_containers(self._uid)
        }:
            return
        self._emit("Warning", "FailedPostStartHook", f"PostStartHook failed: {problem}")
        text = f"FailedPostStartHook: container {spec['name']} failed its postStart hook"
        grace = planning.grace_seconds(self._pod)
        self._stopping.add(spec["name"])
        self._emit("Normal", "Killing", text)
        await self._stop(StopContainer(spec["name"], runs[-1].id, grace, text))

    def _target(self, spec: View, container_id: str) -> Target | None:
        box = self._ground.current
        if box is None:
            return None
        return Target(spec, container_id, box.id, box.ip, self._node.runtime)

    def _sync_probers(self, newest: Mapping[str, ContainerStatus]) -> None:
        running = {s.id: s for s in newest.values() if s.state is ContainerState.RUNNING}
        for container_id in list(self._probers):
            if container_id not in running:
                self._probers.pop(container_id)[1].cancel()
        if self._deleting:
            return
        for container_id, status in running.items():
            spec = self._spec_of(status.name)
            if container_id in self._probers or not has_probes(spec):
                continue
            target = self._target(spec, container_id)
            if target is None:
                return
            prober = Prober(
                target,
                self._node.clock,
                self._wake.call,
                lambda reason, text: self._emit("Warning", reason, text),
            )
            task = self._supervisor.start(prober.run(), f"probe {status.name}")
            self._probers[container_id] = (prober, task)

    def _spec_of(self, name: str) -> View:
        spec = self.pod["spec"]
        others = ("initContainers", "ephemeralContainers")
        every = [*spec["containers"], *(one for key in others for one in spec.get(key) or ())]
        return next((c for c in every if c["name"] == name), {})

    def _report_backoffs(self, plan: Plan) -> None:
        for name, waiting in plan.waiting.items():
            if waiting.reason == "CrashLoopBackOff" and name not in self._backing_off:
                self._backing_off.add(name)
                label = planning.pod_label(self._pod)
                text = f"Back-off restarting failed container {name} in pod {label}"
                self._emit("Warning", "BackOff", text)

    def _tell(self, view: PodView, plan: Plan) -> None:
        if self._object_gone:
            return
        verdicts = dict(view.verdicts)
        for spec in (*view.init_containers, *view.main_containers):
            verdicts.setdefault(spec["name"], first_verdict(spec))
        shown = replace(view, verdicts=verdicts)
        done = view.deleting and self._all_ended(view)
        status = pod_status(shown, plan, node_ip=self._node.ip, gone=done)
        self._writer.want(status, remove=done)
        if done:
            # The watch will show the deletion; look after it in case this is lost.
            plan.wake(view.now + 1.0)

    def _all_ended(self, view: PodView) -> bool:
        ended = all(s.state is ContainerState.EXITED for s in view.containers.values())
        box = self._ground.current
        return ended and not self._stopping and (box is None or not box.ready)

    def _finished(self, view: PodView) -> bool:
        return (self._object_gone or self._writer.gone) and self._all_ended(
            replace(view, deleting=True)
        )

    def _seconds_to_sleep(self, plan: Plan) -> float | None:
        if self._writer.gone and not self._object_gone:
            self._object_gone = True
            return 0.0
        return None if plan.wake_at is None else plan.wake_at - self._node.clock.time()

    def _emit(self, kind: str, reason: str, message: str) -> None:
        _log.debug("event", pod=self._pod["metadata"]["name"], reason=reason, message=message)
        self._node.events.event(dict(self._pod), kind, reason, message)
