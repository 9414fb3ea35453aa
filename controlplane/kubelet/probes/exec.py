"""The probe that runs a command in the container: exit code 0 is well."""

from controlplane.api.meta import View
from controlplane.kubelet.probes.interface import Target

_SHOWN_BYTES = 10 * 1024


async def probe(target: Target, wanted: View, timeout_seconds: float) -> str | None:
    """None when well, else what the command said."""
    command = list(wanted.get("command") or ())
    result = await target.runtime.exec_sync(target.container_id, command, timeout_seconds)
    if result.exit_code == 0:
        return None
    return result.output[:_SHOWN_BYTES].decode(errors="replace")
