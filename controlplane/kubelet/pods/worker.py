"""The shell around plan.py for one pod: observe, plan, act, tell - again after every change.

Stops, probes and status writes run beside the loop, so that neither a slow preStop hook nor an absent API server
holds up the other containers.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controlplane.api import times
from controlplane.client.events import EventRecorder
from controlplane.client.rest import RestClient
from controlplane.kubelet.containers.references import References
from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.kubelet.network.addresses import AddressPool, NoAddressLeftError
from controlplane.kubelet.pods import plan as planning
from controlplane.kubelet.pods.history import earlier_runs
from controlplane.kubelet.pods.plan import (
    Outcome,
    Plan,
    StartContainer,
    StartSandbox,
    StopContainer,
    View,
)
from controlplane.kubelet.pods.starter import ContainerStarter
from controlplane.kubelet.pods.status import pod_status
from controlplane.kubelet.pods.status_writer import StatusWriter
from controlplane.kubelet.pods.wake import Wake
from controlplane.kubelet.probes.interface import Target
from controlplane.kubelet.probes.prober import Prober, first_verdict, has_probes
from controlplane.kubelet.runtimes.interface import (
    ContainerRuntime,
    ContainerState,
    ContainerStatus,
    Sandbox,
    SandboxConfig,
)
from controlplane.kubelet.volumes.interface import VolumeError
from controlplane.kubelet.volumes.manager import VolumeManager
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("worker")

MOUNT_RETRY_SECONDS = 5.0
REFRESH_SECONDS = 10.0
"""How often volumes made of API objects are brought up to date."""
FORCED_GRACE_SECONDS = 1.0
"""What containers of a pod get whose object is gone already."""
KEPT_RUNS = 2
"""Runs of a container whose log is kept: this one and the one before."""

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """What the workers of a node share."""

    name: str
    ip: str
    client: RestClient
    runtime: ContainerRuntime
    catalog: ImageCatalog
    addresses: AddressPool
    events: EventRecorder
    references: References
    volumes: VolumeManager
    clock: Clock
    rng: random.Random


class PodWorker:
    """Looks after one pod, by uid, until it is gone."""

    def __init__(self, node: Node, pod: Object) -> None:
        self._node = node
        self._pod = pod
        self._uid = str(pod["metadata"]["uid"])
        self._wake = Wake(node.clock)
        self._writer = StatusWriter(node.client, pod, node.clock, node.rng)
        self._supervisor = Supervisor(f"pod {pod['metadata']['name']}")
        self._object_gone = False
        self._sandbox: Sandbox | None = None
        self._volumes: dict[str, str] = {}
        self._mount_retry_at = 0.0
        self._refreshing = False
        self._stopping: set[str] = set()
        self._backoffs: dict[str, planning.CrashBackoff] = {}
        self._backing_off: set[str] = set()
        self._probers: dict[str, tuple[Prober, asyncio.Task[None]]] = {}
        self._outcome: Outcome | None = None
        now = node.clock.time()
        self._earlier, self._rerun = earlier_runs(pod, now)
        known = times.parse_or_none((pod.get("status") or {}).get("startTime"))
        self._started_at = known or now
        self._starter = ContainerStarter(
            node.runtime,
            node.catalog,
            node.references,
            node.clock,
            self._emit,
            {"HOST_IP": node.ip, "NODE_NAME": node.name},
        )

    def update(self, pod: Object) -> None:
        """The watch showed a new version."""
        self._pod = pod
        self._writer.seen(pod)
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
            if (self._pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                await self._sit_out()
            while True:
                view = self._observe()
                plan = planning.make_plan(view)
                self._outcome = plan.outcome
                await self._act(view, plan)
                after = self._observe()
                if self._finished(after):
                    gone = True
                    break
                self._tell(after, plan)
                await self._wake.wait(self._seconds_to_sleep(plan))
        finally:
            await self._supervisor.stop()
            if gone:
                await self._clean_up()

    async def _sit_out(self) -> None:
        """A pod that had ended before this agent started: only its deletion is left to do."""
        while not (self._deleting or self._object_gone):
            await self._wake.wait()
        if not self._object_gone:
            self._writer.want(dict(self._pod.get("status") or {}), remove=True)
            while not (self._writer.gone or self._object_gone):
                await self._wake.wait(1.0)
        self._object_gone = True

    @property
    def _deleting(self) -> bool:
        return bool(self._pod["metadata"].get("deletionTimestamp"))

    def _observe(self) -> View:
        newest, previous = dict(self._earlier), {}
        for status in self._node.runtime.list_containers(self._uid):
            if status.name in newest:
                previous[status.name] = newest[status.name]
            newest[status.name] = status
        self._sync_probers(newest)
        verdicts = {
            name: self._probers[status.id][0].verdict
            for name, status in newest.items()
            if status.id in self._probers
        }
        return View(
            pod=self._pod,
            now=self._node.clock.time(),
            sandbox=self._sandbox,
            containers=newest,
            previous=previous,
            rerun=self._rerun,
            backoffs=self._backoffs,
            blocked=self._starter.blocked,
            verdicts=verdicts,
            stopping=frozenset(self._stopping),
            deleting=self._deleting or self._object_gone,
            started_at=self._started_at,
            outcome=self._outcome,
        )

    async def _act(self, view: View, plan: Plan) -> None:
        for action in plan.actions:
            if isinstance(action, StartSandbox):
                if not await self._start_sandbox():
                    plan.wake(self._mount_retry_at)
                    return
            elif isinstance(action, StartContainer):
                await self._start_container(view, plan, action)
            elif isinstance(action, StopContainer):
                self._stopping.add(action.name)
                self._emit("Normal", "Killing", action.message)
                self._supervisor.start(self._stop(action), f"stop {action.name}")
            else:
                await self._stop_sandbox()
        self._report_backoffs(plan)

    async def _start_sandbox(self) -> bool:
        node, meta, spec = self._node, self._pod["metadata"], self._pod["spec"]
        if node.clock.time() < self._mount_retry_at:
            return False
        try:
            if spec.get("hostNetwork"):
                ip = node.ip
            else:
                before = str((self._pod.get("status") or {}).get("podIP") or "")
                ip = node.addresses.take(self._uid, before)
        except NoAddressLeftError as problem:
            self._emit("Warning", "FailedCreatePodSandBox", str(problem))
            self._mount_retry_at = node.clock.time() + MOUNT_RETRY_SECONDS
            return False
        self._starter.facts["POD_IP"] = ip
        if not await self._set_up_volumes():
            return False
        if self._sandbox is None or not self._sandbox.ready:
            self._sandbox = await node.runtime.run_sandbox(
                SandboxConfig(self._uid, meta["name"], meta.get("namespace", ""), ip)
            )
        return True

    async def _set_up_volumes(self) -> bool:
        node = self._node
        for volume in self._pod["spec"].get("volumes") or ():
            name = volume["name"]
            if name in self._volumes:
                continue
            try:
                self._volumes[name] = await node.volumes.set_up(
                    self._pod, volume, self._starter.facts
                )
            except VolumeError as problem:
                text = f'MountVolume.SetUp failed for volume "{name}" : {problem}'
                self._emit("Warning", "FailedMount", text)
                # The address is kept; the rest is tried again with the next plan.
                self._mount_retry_at = node.clock.time() + MOUNT_RETRY_SECONDS
                return False
        if self._volumes and not self._refreshing:
            self._refreshing = True
            self._supervisor.start(self._refresh_volumes(), "volumes")
        return True

    async def _refresh_volumes(self) -> None:
        """Follow what ConfigMaps, Secrets and tokens become while the pod runs."""
        while not self._deleting:
            # By chance, so that the pods of a node do not all ask at once.
            await self._node.clock.sleep(REFRESH_SECONDS * self._node.rng.uniform(0.8, 1.2))
            if self._sandbox is not None and self._sandbox.ready:
                await self._node.volumes.refresh(self._pod, self._starter.facts)

    async def _start_container(self, view: View, plan: Plan, action: StartContainer) -> None:
        if self._sandbox is None:
            return
        spec = next(
            c for c in (*view.init_containers, *view.main_containers) if c["name"] == action.name
        )
        started = await self._starter.start(
            self._pod, spec, action.attempt, self._sandbox, self._volumes
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
        finally:
            self._stopping.discard(action.name)
            self._wake.call()

    async def _pre_stop(self, action: StopContainer, grace: float) -> None:
        spec = self._spec_of(action.name)
        hook = ((spec.get("lifecycle") or {}).get("preStop")) or {}
        try:
            if hook.get("exec") and grace > 0:
                command = list(hook["exec"].get("command") or ())
                await self._node.runtime.exec_sync(action.container_id, command, grace)
            elif hook.get("sleep") and grace > 0:
                await self._node.clock.sleep(min(grace, float(hook["sleep"].get("seconds") or 0)))
            elif hook:
                self._emit("Warning", "FailedPreStopHook", "PreStopHook failed: not supported here")
        except (TimeoutError, OSError, KeyError) as problem:
            self._emit("Warning", "FailedPreStopHook", f"PreStopHook failed: {problem}")

    async def _stop_sandbox(self) -> None:
        if self._sandbox is not None:
            await self._node.runtime.stop_sandbox(self._sandbox.id)
            self._sandbox = replace(self._sandbox, ready=False)
        self._node.addresses.release(self._uid)
        self._wake.call()

    def _sync_probers(self, newest: Mapping[str, ContainerStatus]) -> None:
        running = {s.id: s for s in newest.values() if s.state is ContainerState.RUNNING}
        for container_id in list(self._probers):
            if container_id not in running:
                self._probers.pop(container_id)[1].cancel()
        if self._sandbox is None or self._deleting:
            return
        for container_id, status in running.items():
            spec = self._spec_of(status.name)
            if container_id in self._probers or not has_probes(spec):
                continue
            box = self._sandbox
            prober = Prober(
                Target(spec, container_id, box.id, box.ip, self._node.runtime),
                self._node.clock,
                self._wake.call,
                lambda reason, text: self._emit("Warning", reason, text),
            )
            task = self._supervisor.start(prober.run(), f"probe {status.name}")
            self._probers[container_id] = (prober, task)

    def _spec_of(self, name: str) -> Object:
        spec = self._pod["spec"]
        every = [*(spec.get("initContainers") or ()), *spec["containers"]]
        return next((c for c in every if c["name"] == name), {})

    def _report_backoffs(self, plan: Plan) -> None:
        for name, waiting in plan.waiting.items():
            if waiting.reason == "CrashLoopBackOff" and name not in self._backing_off:
                self._backing_off.add(name)
                label = planning.pod_label(self._pod)
                text = f"Back-off restarting failed container {name} in pod {label}"
                self._emit("Warning", "BackOff", text)

    def _tell(self, view: View, plan: Plan) -> None:
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

    def _all_ended(self, view: View) -> bool:
        ended = all(s.state is ContainerState.EXITED for s in view.containers.values())
        return ended and not self._stopping and (self._sandbox is None or not self._sandbox.ready)

    def _finished(self, view: View) -> bool:
        return (self._object_gone or self._writer.gone) and self._all_ended(
            replace(view, deleting=True)
        )

    def _seconds_to_sleep(self, plan: Plan) -> float | None:
        if self._writer.gone and not self._object_gone:
            self._object_gone = True
            return 0.0
        return None if plan.wake_at is None else plan.wake_at - self._node.clock.time()

    async def _clean_up(self) -> None:
        if self._sandbox is not None:
            await self._node.runtime.remove_sandbox(self._sandbox.id)
        await self._node.volumes.tear_down(self._uid)
        self._node.addresses.release(self._uid)

    def _emit(self, kind: str, reason: str, message: str) -> None:
        _log.debug("event", pod=self._pod["metadata"]["name"], reason=reason, message=message)
        self._node.events.event(dict(self._pod), kind, reason, message)
