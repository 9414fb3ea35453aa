"""The worker process, `python -m kvstore.testing.load.worker`: a `LoadSpec` in, `Figures` out, both JSON."""

import asyncio
import os
import random
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from kvstore.base.clock import Clock, SystemClock
from kvstore.testing.load.spec import Figures, LoadSpec, Recorder, quantile
from kvstore.testing.load.streams import WATCHES_PER_STREAM, FanOut, KeepAlives
from kvstore.testing.load.wire import Connection, connect
from kvstore.testing.load.workloads import SOURCES, Source, source_of

_TICKS = os.sysconf("SC_CLK_TCK")


class _Client:
    """A closed loop: the next request when the last is answered."""

    def __init__(self, connection: Connection, source: Source, recorder: Recorder) -> None:
        self._connection, self._source, self._recorder = connection, source, recorder
        self._reply = b""
        self._begun = 0.0

    def start(self) -> None:
        """Send the first, or next, request."""
        request = self._source.next()
        self._problem_of = request.problem_of
        self._begun = self._recorder.now()
        self._connection.call(request.path, request.message, self._received, self._ended)

    def _received(self, reply: bytes) -> None:
        self._reply = reply

    def _ended(self, status: int) -> None:
        if status == 0:
            problem = self._problem_of(self._reply)
        else:
            problem = f"status {status}"
        self._recorder.ended(self._begun, problem)
        if self._recorder.is_running and self._connection.is_open:
            self.start()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; 0 if it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def tls_context(spec: LoadSpec) -> ssl.SSLContext | None:
    """The client side of TLS, if the spec names files for it."""
    if not spec.ca_file:
        return None
    context = ssl.create_default_context(cafile=spec.ca_file)
    context.set_alpn_protocols(["h2"])
    if spec.cert_file:
        context.load_cert_chain(spec.cert_file, spec.key_file)
    return context


async def run(spec: LoadSpec, clock: Clock) -> Figures:
    """One measurement. Raises OSError if an endpoint cannot be reached, ValueError on an unknown workload."""
    if spec.workload not in (*SOURCES, *WATCHES_PER_STREAM, "lease-keep-alive"):
        raise ValueError(f"unknown workload {spec.workload!r}")
    tls = tls_context(spec)
    connections = [
        await connect(spec.endpoints[number % len(spec.endpoints)], tls=tls, token=spec.token)
        for number in range(spec.connection_count)
    ]
    recorder = Recorder(clock)
    for part in _parts(spec, connections, recorder):
        part.start()
    if spec.workload == "fill":
        # Measured from the first request, or the keys of the warm-up would be written twice.
        recorder.is_measuring = True
    else:
        await clock.sleep(spec.warmup_seconds)
        recorder.is_measuring = True
    begun, cpu = clock.monotonic(), [cpu_seconds(pid) for pid in spec.pids]
    own = sum(os.times()[:2])
    if spec.workload == "fill":
        # As many again as there are clients: of the last ones some may still be under way.
        while (len(recorder.latencies) - spec.clients) * 64 < spec.keys and not recorder.errors:
            await clock.sleep(0.01)
    else:
        await clock.sleep(spec.seconds)
    recorder.is_measuring = recorder.is_running = False
    seconds = clock.monotonic() - begun
    cpu = [cpu_seconds(pid) - before for pid, before in zip(spec.pids, cpu, strict=True)]
    own = sum(os.times()[:2]) - own
    for connection in connections:
        connection.close()
    latencies = sorted(recorder.latencies)
    return Figures(
        operations=len(latencies),
        seconds=seconds,
        errors=recorder.errors,
        p50=quantile(latencies, 0.5),
        p99=quantile(latencies, 0.99),
        worst=latencies[-1] if latencies else 0.0,
        server_cpu_seconds=cpu,
        load_cpu_seconds=own,
        first_error=recorder.first_error,
    )


def _parts(
    spec: LoadSpec, connections: Sequence[Connection], recorder: Recorder
) -> list[_Client] | list[KeepAlives] | list[FanOut]:
    if spec.workload in WATCHES_PER_STREAM:
        per_stream = WATCHES_PER_STREAM[spec.workload]
        return [FanOut(connections, spec, recorder, per_stream)]
    rngs = [random.Random(f"{spec.seed}/{client}") for client in range(spec.clients)]
    spread = [connections[client % len(connections)] for client in range(spec.clients)]
    if spec.workload == "lease-keep-alive":
        return [KeepAlives(one, spec, recorder, rng) for one, rng in zip(spread, rngs, strict=True)]
    source = source_of(spec.workload)
    return [
        _Client(one, source(spec, client, rng), recorder)
        for client, (one, rng) in enumerate(zip(spread, rngs, strict=True))
    ]


def main() -> int:
    """Entry point: exit code 0, or 1 with a sentence on standard error."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadSpec)
    try:
        import uvloop

        figures = uvloop.run(run(spec, SystemClock()))
    except ImportError:
        figures = asyncio.run(run(spec, SystemClock()))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
