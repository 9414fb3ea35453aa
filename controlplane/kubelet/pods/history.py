"""What an earlier life of the node left in a pod's status, as runs that have ended.

Processes die with the agent, so whatever the status calls running has ended, with exit code 137. Restart counts go on
from there.
"""

from controlplane.api import times
from controlplane.api.meta import View
from controlplane.kubelet.pods.status import CONTAINER_ID_SCHEME
from controlplane.kubelet.runtimes.interface import ContainerState, ContainerStatus


def earlier_runs(pod: View, now: float) -> tuple[dict[str, ContainerStatus], frozenset[str]]:
    """Ended runs by container name, and the init containers whose work is lost."""
    status = pod.get("status") or {}
    runs: dict[str, ContainerStatus] = {}
    init: set[str] = set()
    for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(key) or ():
            run = _run(pod, entry, now)
            if run is not None:
                runs[run.name] = run
                if key == "initContainerStatuses":
                    init.add(run.name)
    return runs, frozenset(init)


def _run(pod: View, entry: View, now: float) -> ContainerStatus | None:
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    ended = state.get("terminated") or (last.get("terminated") if state.get("waiting") else None)
    if ended is None and not state.get("running"):
        return None
    ended = ended or {
        "exitCode": 137,
        "reason": "Error",
        "message": "The node was restarted",
        "startedAt": state["running"].get("startedAt"),
    }
    return ContainerStatus(
        id=str(entry.get("containerID") or "").removeprefix(CONTAINER_ID_SCHEME),
        pod_uid=str(pod["metadata"]["uid"]),
        name=str(entry["name"]),
        attempt=int(entry.get("restartCount") or 0),
        state=ContainerState.EXITED,
        image=str(entry.get("image") or ""),
        image_id=str(entry.get("imageID") or ""),
        started_at=times.parse_or_none(ended.get("startedAt")) or 0.0,
        finished_at=times.parse_or_none(ended.get("finishedAt")) or now,
        exit_code=int(ended.get("exitCode") or 0),
        reason=str(ended.get("reason") or ""),
        message=str(ended.get("message") or ""),
    )
