"""What a pod has done right after the start of a container, and right before its end."""

import asyncio

from controlplane.api.meta import View
from controlplane.kubelet.probes import http
from controlplane.kubelet.probes.interface import Target
from kvstore.base.clock import Clock


async def run_hook(
    target: Target, hook: View, clock: Clock, *, grace_seconds: float | None = None
) -> str | None:
    """Run an `exec`, `httpGet` or `sleep`; None when it went well, else why not.

    `grace_seconds` bounds it, as for preStop; a postStart hook may take as long as it likes.
    """
    try:
        async with asyncio.timeout(grace_seconds):
            if hook.get("exec"):
                command = list(hook["exec"].get("command") or ())
                limit = 3600.0 if grace_seconds is None else grace_seconds
                result = await target.runtime.exec_sync(target.container_id, command, limit)
                if result.exit_code == 0:
                    return None
                said = result.output.decode(errors="replace")[:1024]
                return f"command '{' '.join(command)}' exited with {result.exit_code}: {said}"
            if hook.get("httpGet"):
                return await http.probe(target, hook["httpGet"], grace_seconds or 30.0)
            if hook.get("sleep"):
                await clock.sleep(float(hook["sleep"].get("seconds") or 0))
                return None
    except TimeoutError:
        return "the hook was still running when the grace period was over"
    except (OSError, KeyError, ValueError) as problem:
        return str(problem)
    return "the hook names nothing to do"
