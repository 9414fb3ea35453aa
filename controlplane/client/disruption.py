"""Saying of a pod that it goes for no fault of its own: the condition DisruptionTarget.

For programs that make pods go. Reasons and messages are upstream's.
"""

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.client.rest import STRATEGIC_MERGE_PATCH, RestClient
from controlplane.kinds.core.pod.disruption import target
from controlplane.kinds.core.pod.resource import PODS


async def mark(
    client: RestClient, pod: Obj, now: str, *, reason: str = "", message: str = "", phase: str = ""
) -> None:
    """Put the condition (if there is a reason) and the phase (if given) in the pod's status. Raises NotFound.

    `now` is RFC 3339 text. What stands there already is not written again.
    """
    status: Obj = {}
    if phase and meta.status(pod).get("phase") != phase:
        status["phase"] = phase
    if reason:
        rows = [dict(row) for row in meta.status(pod).get("conditions") or ()]
        wanted = target(reason, message)
        if meta.generation(pod):
            wanted["observedGeneration"] = meta.generation(pod)
        if conditions.set(rows, wanted, now):
            status["conditions"] = [row for row in rows if row.get("type") == wanted["type"]]
    if status:
        await client.patch(
            PODS,
            meta.name(pod),
            {"metadata": {"uid": meta.uid(pod)}, "status": status},
            meta.namespace(pod),
            patch_type=STRATEGIC_MERGE_PATCH,
            subresource="status",
        )
