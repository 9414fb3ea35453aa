"""The probe that opens a connection and closes it again."""

import asyncio

from controlplane.api.meta import View
from controlplane.kubelet.probes.interface import Target, refused


async def probe(target: Target, wanted: View, timeout_seconds: float) -> str | None:
    """None when somebody accepts."""
    host, port = wanted.get("host") or target.pod_ip, target.port(wanted["port"])
    try:
        async with asyncio.timeout(timeout_seconds):
            (await target.connect(host, port)).close()
    except TimeoutError:
        raise
    except OSError as problem:
        return refused(host, port, problem)
    return None
