"""Writes the phases of volumes, and tells people."""

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.pvbinder.plan import Note
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES


class States:
    """What users see of volumes."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._clock = context.clock

    async def write(self, volume: Obj, phase: str, message: str = "") -> Obj:
        """Write the phase if it is another; returns the volume as it is then. Raises Conflict."""
        if meta.status(volume).get("phase") == phase:
            return volume
        now = times.to_rfc3339(self._clock.time())
        status = {**meta.status(volume), "phase": phase, "lastPhaseTransitionTime": now}
        status.pop("message", None)
        if message:
            status["message"] = message
        return await self._client.update_status(PERSISTENT_VOLUMES, {**volume, "status": status})

    async def fail(self, volume: Obj, reason: str, message: str) -> None:
        """Mark a volume as Failed, and tell why, once."""
        if meta.status(volume).get("phase") == "Failed":
            return
        written = await self.write(volume, "Failed", message)
        self.tell(written, Note("Warning", reason, message))

    def tell(self, obj: Obj, note: Note | None) -> None:
        """Record an event, if there is one."""
        if note is not None:
            self._recorder.event(obj, note.type, note.reason, note.message)
