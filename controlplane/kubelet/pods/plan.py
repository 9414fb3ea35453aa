"""What to do next for a pod: a pure function of its spec and of what is observed.

`make_plan` is called again after every change, so it looks only at what is, never at what it said before. Crash loops
wait 10 s, doubling to 300 s; a container whose last restart was decided more than 10 minutes before its end starts from
10 s again, and the first restart is at once. This module does no IO and reads no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.meta import View
from controlplane.api.times import parse_or_none
from controlplane.kinds.core.pod.views import is_sidecar
from controlplane.kubelet.pods.resize import ResizeCondition
from controlplane.kubelet.runtimes.interface import ContainerState, ContainerStatus, Sandbox

BACKOFF_FIRST_SECONDS = 10.0
BACKOFF_MAX_SECONDS = 300.0
BACKOFF_RESET_SECONDS = 2 * BACKOFF_MAX_SECONDS
_LEAST_GRACE_SECONDS = 2.0
DEFAULT_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class CrashBackoff:
    """How long the next restart of a container waits, and when that was decided."""

    seconds: float
    decided_at: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a container cannot be started now (image, configuration), and when to try again."""

    reason: str
    message: str
    until: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probes say of a running container."""

    started: bool = True
    ready: bool = True
    failed: str = ""
    """`liveness` or `startup` once its probe failed for good: the container is to be restarted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pod ended: no container will ever run again."""

    phase: str
    """`Succeeded` or `Failed`."""
    reason: str = ""
    message: str = ""
    grace_seconds: float | None = None
    """For what still runs; None is the pod's own."""


@dataclass(frozen=True, slots=True)
class PodView:
    """All that is known of a pod. Times are Unix seconds."""

    pod: View
    now: float
    sandbox: Sandbox | None = None
    containers: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The newest run of each container, init containers included."""
    previous: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The run before it."""
    rerun: frozenset[str] = frozenset()
    """Init containers that ended in an earlier life of the node: their work is lost."""
    backoffs: Mapping[str, CrashBackoff] = field(default_factory=dict)
    blocked: Mapping[str, Blocked] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    resized: frozenset[str] = frozenset()
    """Containers that get the resources they were granted by a restart only."""
    actual: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Resources that running containers have; the spec here says what was granted."""
    resizing: Sequence[ResizeCondition] = ()
    """What is told of a change of resources."""
    stopping: frozenset[str] = frozenset()
    deleting: bool = False
    started_at: float = 0.0
    """When this node took the pod; activeDeadlineSeconds counts from here."""
    outcome: Outcome | None = None
    """Decided by an earlier plan, and never taken back."""

    @property
    def spec(self) -> View:
        """The pod's spec."""
        spec: View = self.pod["spec"]
        return spec

    @property
    def init_containers(self) -> list[View]:
        """Specs of the init containers, in order."""
        return list(self.spec.get("initContainers") or ())

    @property
    def main_containers(self) -> list[View]:
        """Specs of the containers proper."""
        return list(self.spec.get("containers") or ())

    @property
    def ephemeral_containers(self) -> list[View]:
        """Specs of the containers that were added to look into the pod."""
        return list(self.spec.get("ephemeralContainers") or ())

    @property
    def restart_policy(self) -> str:
        """Always, OnFailure or Never."""
        return str(self.spec.get("restartPolicy") or "Always")

    @property
    def generation(self) -> int:
        """The pod's generation that the status then says it has seen; 0 for a pod without."""
        return int(self.pod["metadata"].get("generation") or 0)


@dataclass(frozen=True, slots=True)
class StartSandbox:
    """Give the pod an address and a directory with its volumes."""


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start a run of a container; `backoff` is to be remembered with it."""

    name: str
    attempt: int
    backoff: CrashBackoff | None = None


@dataclass(frozen=True, slots=True)
class StopContainer:
    """End a run, with preStop hook, SIGTERM and, after the grace, SIGKILL."""

    name: str
    container_id: str
    grace_seconds: float
    message: str


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Free the address; all containers have ended."""


Action = StartSandbox | StartContainer | StopContainer | StopSandbox


@dataclass(slots=True)
class Plan:
    """Actions in order; what users are told meanwhile; when to look again without any event."""

    actions: list[Action] = field(default_factory=list)
    waiting: dict[str, Blocked] = field(default_factory=dict)
    """Containers that wait, with reason and message for their status."""
    wake_at: float | None = None
    outcome: Outcome | None = None
    """Once there is one, all that is left is to stop."""

    def wake(self, at: float) -> None:
        """Look again no later than this."""
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)


def should_restart(policy: str, exit_code: int) -> bool:
    """Whether the restart policy wants an ended container again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def next_backoff(known: CrashBackoff | None, ended_at: float, now: float) -> CrashBackoff:
    """What the restart after this one has to wait."""
    if known is None or ended_at - known.decided_at > BACKOFF_RESET_SECONDS:
        return CrashBackoff(BACKOFF_FIRST_SECONDS, now)
    return CrashBackoff(min(known.seconds * 2, BACKOFF_MAX_SECONDS), now)


def restart_at(known: CrashBackoff | None, ended_at: float) -> float:
    """The earliest time of a restart."""
    if known is None or ended_at - known.decided_at > BACKOFF_RESET_SECONDS:
        return ended_at
    return ended_at + known.seconds


def grace_seconds(pod: View) -> float:
    """How long a container of this pod may take to end."""
    wanted = pod["metadata"].get("deletionGracePeriodSeconds")
    if wanted is None:
        wanted = pod["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if wanted is None else float(wanted)


def make_plan(view: PodView) -> Plan:
    """The next actions."""
    plan = Plan(outcome=view.outcome)
    if view.deleting or view.outcome is not None:
        _stop_all(view, plan, "Stopping container {name}")
        return plan
    deadline = view.spec.get("activeDeadlineSeconds")
    if deadline is not None and view.started_at and not _all_ended(view):
        if view.now >= view.started_at + deadline:
            message = "Pod was active on the node longer than the specified deadline"
            plan.outcome = Outcome("Failed", "DeadlineExceeded", message)
            _stop_all(view, plan, "Stopping container {name}")
            return plan
        plan.wake(view.started_at + deadline)
    phase = _final_phase(view)
    if phase:
        plan.outcome = Outcome(phase)
        _stop_all(view, plan, "Stopping container {name}")
        return plan
    for container in view.ephemeral_containers:
        _run_once(view, plan, str(container["name"]))
    if _initialize(view, plan):
        for container in view.main_containers:
            _keep_running(view, plan, container, view.restart_policy)
    starts = any(isinstance(action, StartContainer) for action in plan.actions)
    if starts and (view.sandbox is None or not view.sandbox.ready):
        plan.actions.insert(0, StartSandbox())
    return plan


def initialized(view: PodView) -> bool:
    """Whether all init containers have done their work."""
    return not incomplete_init(view)


def incomplete_init(view: PodView) -> list[str]:
    """Names of the init containers that have not."""
    return [str(c["name"]) for c in view.init_containers if not _init_done(view, c)]


def _init_done(view: PodView, container: View) -> bool:
    name = container["name"]
    status = view.containers.get(name)
    if status is None or name in view.rerun:
        return False
    if is_sidecar(container):
        # A sidecar that started once does not hold up the pod again while it restarts.
        running = status.state is ContainerState.RUNNING
        return view.verdicts.get(name, Verdict()).started if running else bool(status.started_at)
    return status.state is ContainerState.EXITED and status.exit_code == 0


def _initialize(view: PodView, plan: Plan) -> bool:
    """Run init containers one after the other; true when the others may start."""
    # Init containers restart on failure even under Always; only Never lets the pod fail.
    policy = "Never" if view.restart_policy == "Never" else "OnFailure"
    for container in view.init_containers:
        if is_sidecar(container):
            _keep_running(view, plan, container, "Always")
        if _init_done(view, container):
            continue
        if not is_sidecar(container):
            _keep_running(view, plan, container, policy)
        return False
    return True


def _keep_running(view: PodView, plan: Plan, container: View, policy: str) -> None:
    name = str(container["name"])
    status = view.containers.get(name)
    if name in view.stopping:
        return
    changed = status is not None and _change(view, container, status)
    if status is not None and status.state is not ContainerState.EXITED:
        if changed:
            message = f"Container {name} {changed}"
            grace = grace_seconds(view.pod)
            plan.actions.append(StopContainer(name, status.id, grace, message))
        else:
            _restart_if_unwell(view, plan, container, status)
        return
    if (
        status is not None
        and not changed
        and name not in view.rerun
        and not should_restart(policy, status.exit_code)
    ):
        return
    blocked = view.blocked.get(name)
    if blocked is not None and view.now < blocked.until:
        plan.waiting[name] = blocked
        plan.wake(blocked.until)
        return
    if status is None or changed or name in view.rerun:
        plan.actions.append(StartContainer(name, 0 if status is None else status.attempt + 1))
        return
    known = view.backoffs.get(name)
    at = restart_at(known, status.finished_at)
    if view.now < at:
        seconds = known.seconds if known is not None else 0.0
        plan.waiting[name] = Blocked("CrashLoopBackOff", crash_message(view.pod, name, seconds), at)
        plan.wake(at)
        return
    following = next_backoff(known, status.finished_at, view.now)
    plan.actions.append(StartContainer(name, status.attempt + 1, following))


def _change(view: PodView, container: View, status: ContainerStatus) -> str:
    """Why a run is not the one that is wished any more, whatever the restart policy says; "" if it is."""
    if status.image and status.id and status.image != container.get("image"):
        return "definition changed, will be restarted"
    if status.name in view.resized:
        return "resize requires restart"
    return ""


def _run_once(view: PodView, plan: Plan, name: str) -> None:
    """For an ephemeral container: it waits for nothing, and never runs again."""
    if name in view.containers:
        return
    blocked = view.blocked.get(name)
    if blocked is not None and view.now < blocked.until:
        plan.waiting[name] = blocked
        plan.wake(blocked.until)
    else:
        plan.actions.append(StartContainer(name, 0))


def _restart_if_unwell(view: PodView, plan: Plan, container: View, status: ContainerStatus) -> None:
    failed = view.verdicts.get(status.name, Verdict()).failed
    if not failed:
        return
    own = (container.get(f"{failed}Probe") or {}).get("terminationGracePeriodSeconds")
    grace = grace_seconds(view.pod) if own is None else float(own)
    message = f"Container {status.name} failed {failed} probe, will be restarted"
    plan.actions.append(StopContainer(status.name, status.id, grace, message))


def crash_message(pod: View, name: str, seconds: float) -> str:
    """The words of a container that waits after a crash."""
    minutes, rest = divmod(int(seconds), 60)
    length = f"{minutes}m{rest}s" if minutes else f"{rest}s"
    return f"back-off {length} restarting failed container={name} pod={pod_label(pod)}"


def pod_label(pod: View) -> str:
    """A pod as upstream's messages name it."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta.get('namespace', '')}({meta.get('uid', '')})"


def _final_phase(view: PodView) -> str:
    """`Succeeded`, `Failed`, or "" while a container runs or is to run again."""
    for container in view.init_containers:
        status = view.containers.get(container["name"])
        ended = status is not None and status.state is ContainerState.EXITED
        failed = ended and status is not None and status.exit_code != 0
        if failed and not is_sidecar(container) and view.restart_policy == "Never":
            return "Failed"
    if view.restart_policy == "Always":
        return ""
    codes = []
    for container in view.main_containers:
        status = view.containers.get(container["name"])
        if status is None or status.state is not ContainerState.EXITED:
            return ""
        if should_restart(view.restart_policy, status.exit_code):
            return ""
        codes.append(status.exit_code)
    return "Failed" if any(codes) else "Succeeded"


def _running(view: PodView) -> Iterable[ContainerStatus]:
    return (s for s in view.containers.values() if s.state is not ContainerState.EXITED)


def _all_ended(view: PodView) -> bool:
    return bool(view.containers) and not any(_running(view)) and bool(_final_phase(view))


def _stop_all(view: PodView, plan: Plan, message: str) -> None:
    running = list(_running(view))
    grace = grace_seconds(view.pod)
    if not view.deleting and plan.outcome is not None and plan.outcome.grace_seconds is not None:
        grace = plan.outcome.grace_seconds
    ending, grace = _ending_now(view, running, grace)
    for status in ending:
        if status.name not in view.stopping:
            text = message.format(name=status.name)
            plan.actions.append(StopContainer(status.name, status.id, grace, text))
    if not running and not view.stopping and view.sandbox is not None and view.sandbox.ready:
        plan.actions.append(StopSandbox())


def _ending_now(
    view: PodView, running: list[ContainerStatus], grace: float
) -> tuple[list[ContainerStatus], float]:
    """(whose turn it is, the grace): sidecars serve the others to the end, then go one by one, the first one last.

    Without grace there are no turns. Source: pkg/kubelet/kuberuntime/kuberuntime_termination_order.go.
    """
    sidecars = [str(c["name"]) for c in view.init_containers if is_sidecar(c)]
    others = [status for status in running if status.name not in sidecars]
    if grace <= 0:
        return running, grace
    if others:
        return others, grace
    last = sorted(running, key=lambda status: sidecars.index(status.name))[-1:]
    return last, _grace_left(view, grace)


def _grace_left(view: PodView, grace: float) -> float:
    """What those that ended before have left of the pod's grace; two seconds at least, as upstream."""
    ends_at = parse_or_none(view.pod["metadata"].get("deletionTimestamp"))
    if not view.deleting or ends_at is None:
        return grace
    return max(_LEAST_GRACE_SECONDS, min(grace, ends_at - view.now))
