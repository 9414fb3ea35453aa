"""DefaultTolerationSeconds: how long a pod that does not say it stays on a node that is not ready, or silent.

Source: plugin/pkg/admission/defaulttolerationseconds; 300 seconds there.
"""

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.kinds.core.pod.resource import PODS

_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


class DefaultTolerationSeconds:
    """The plugin."""

    def __init__(self, not_ready_seconds: int, unreachable_seconds: int) -> None:
        self._seconds = ((_NOT_READY, not_ready_seconds), (_UNREACHABLE, unreachable_seconds))

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of pods."""
        return operation in (CREATE, UPDATE) and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Add the two tolerations where no other covers their taint."""
        spec = attributes.require_object().setdefault("spec", {})
        tolerations = list(spec.get("tolerations") or ())
        for key, seconds in self._seconds:
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
