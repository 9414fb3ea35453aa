"""What every new pod is given: a service account, a priority, and five minutes on a node that has gone away.

Follows the admission plugins ServiceAccount, Priority and DefaultTolerationSeconds. No token is mounted: the agents
run no containers that could use one.
"""

from controlplane.api.meta import Obj

_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def complete(pod: Obj, not_ready_seconds: int, unreachable_seconds: int) -> None:
    """Fill in what the pod does not say; the seconds are how long it stays on a node in trouble."""
    spec = pod.setdefault("spec", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    if spec.get("priority") is None:
        spec["priority"] = 0
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = list(spec.get("tolerations") or ())
    for key, seconds in ((_NOT_READY, not_ready_seconds), (_UNREACHABLE, unreachable_seconds)):
        if not any(_covers(toleration, key) for toleration in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": seconds,
                }
            )
    spec["tolerations"] = tolerations


def _covers(toleration: Obj, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (
        None,
        "",
        "NoExecute",
    )
