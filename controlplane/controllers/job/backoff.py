"""How long a Job waits before it replaces failed Pods: pure. 10 s, doubling with each failure, at most 10 minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures since the last success, and when the last one was (Unix seconds)."""

    failures: int = 0
    last_at: float = 0.0

    def after(self, succeeded: Sequence[Obj], failed: Sequence[Obj]) -> "Backoff":
        """With newly finished Pods: a success wipes out what failed before it."""
        times = sorted(finished_at(pod) for pod in failed)
        if not succeeded:
            return Backoff(self.failures + len(times), times[-1]) if times else self
        last_success = max(finished_at(pod) for pod in succeeded)
        later = [time for time in times if time > last_success]
        return Backoff(len(later), later[-1]) if later else Backoff()

    def remaining_seconds(self, now: float) -> float:
        """How long to wait yet."""
        if not self.failures:
            return 0.0
        delay = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(20, self.failures - 1))
        return max(0.0, self.last_at + delay - now)


def finished_at(pod: Obj) -> float:
    """When the Pod's work ended, Unix seconds: by its containers, else by its conditions, deletion, or age."""
    status = meta.status(pod)
    sidecars = {
        container["name"]
        for container in meta.spec(pod).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    found = list(status.get("containerStatuses") or ())
    found += [s for s in status.get("initContainerStatuses") or () if s.get("name") in sidecars]
    ends = [((s.get("state") or {}).get("terminated") or {}).get("finishedAt") for s in found]
    if ends and all(ends):
        return max(parse_or_none(end) or 0.0 for end in ends)
    ready = conditions.get(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_or_none(ready["lastTransitionTime"]) or 0.0
    if meta.is_deleting(pod):
        grace = float(meta.metadata(pod).get("deletionGracePeriodSeconds") or 0)
        return (parse_or_none(meta.deletion_timestamp(pod)) or 0.0) - grace
    return parse_or_none(meta.creation_timestamp(pod)) or 0.0
