"""The probe by HTTP: 2xx and 3xx are well. Certificates are not verified, as upstream does not."""

import asyncio
import ssl

from controlplane.api.meta import View
from controlplane.kubelet.probes.interface import Target, refused

_HEAD_LIMIT = 16 * 1024


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def probe(target: Target, wanted: View, timeout_seconds: float) -> str | None:
    """None when well, else the status or what kept it from coming."""
    host, port = wanted.get("host") or target.pod_ip, target.port(wanted["port"])
    secure = str(wanted.get("scheme") or "HTTP").upper() == "HTTPS"
    path = str(wanted.get("path") or "/")
    path = path if path.startswith("/") else f"/{path}"
    url = f"{'https' if secure else 'http'}://{host}:{port}{path}"
    request = request_bytes(path, f"{host}:{port}", wanted.get("httpHeaders") or ())
    try:
        async with asyncio.timeout(timeout_seconds):
            connection = await target.connect(host, port)
            reader, writer = await asyncio.open_connection(
                sock=connection,
                ssl=_context() if secure else None,
                server_hostname="" if secure else None,
                limit=_HEAD_LIMIT,
            )
            try:
                writer.write(request)
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        raise TimeoutError(f'Get "{url}": context deadline exceeded') from None
    except OSError as problem:
        return f'Get "{url}": {refused(host, port, problem)}'
    code = status_code(line)
    if code is None:
        return f'Get "{url}": malformed HTTP response {line[:80]!r}'
    return None if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"


def request_bytes(path: str, host: str, headers: object) -> bytes:
    """A GET that asks for the connection to be closed; the pod's headers replace ours."""
    given = [(str(h["name"]), str(h.get("value", ""))) for h in headers]  # type: ignore[attr-defined]
    names = {name.lower() for name, _ in given}
    ours = [("Host", host), ("User-Agent", "kube-probe/1.36"), ("Accept", "*/*")]
    lines = [(name, value) for name, value in ours if name.lower() not in names]
    # Compat: an empty header of ours removes it, as with upstream's prober.
    lines += [(name, value) for name, value in given if value or name.lower() != "accept"]
    text = "".join(f"{name}: {value}\r\n" for name, value in (*lines, ("Connection", "close")))
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1", "replace")


def status_code(line: bytes) -> int | None:
    """The code of a status line; None for anything else."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return int(words[1])
