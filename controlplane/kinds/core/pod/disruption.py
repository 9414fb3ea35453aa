"""The condition DisruptionTarget: the pod goes for no fault of its own. Jobs ask it before they count a failure.

Source: k8s.io/api/core/v1 (DisruptionTarget); reasons and messages are those of who writes it.
"""

from controlplane.api.meta import Obj


def target(reason: str, message: str) -> Obj:
    """The condition, without times."""
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
