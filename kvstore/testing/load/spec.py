"""What a worker is told, and what it reports: JSON both ways."""

import msgspec

from kvstore.base.clock import Clock


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. Times are seconds, sizes bytes."""

    endpoints: list[str]
    """Connections are spread over them in order; one endpoint means all load goes to that member."""
    workload: str
    clients: int = 64
    connections: int = 0
    """0: one a client, at most 64."""
    seconds: float = 2.0
    warmup_seconds: float = 0.5
    value_size: int = 256
    keys: int = 10_000
    """Keys `bench/0000000000` and on, of which writes and reads take one at random."""
    seed: int = 1
    pids: list[int] = []
    """Server processes whose CPU time is read before and after, from /proc."""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token: str = ""

    @property
    def connection_count(self) -> int:
        """How many connections to open."""
        return min(self.connections or min(self.clients, 64), self.clients)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Latencies are of the operations that ended well inside the measured time."""

    operations: int
    seconds: float
    errors: int
    p50: float
    p99: float
    worst: float
    server_cpu_seconds: list[float] = []
    """By pid of the spec."""
    load_cpu_seconds: float
    """CPU of the load generator itself: near `seconds` means that it was what was measured."""
    first_error: str = ""

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_micros(self) -> float:
        """CPU of all servers together in µs an operation."""
        if not self.operations:
            return 0.0
        return sum(self.server_cpu_seconds) * 1e6 / self.operations


def quantile(ordered: list[float], part: float) -> float:
    """The value that `part` (0 to 1) of the sorted values do not exceed; 0 for none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Recorder:
    """Latencies and errors of one run; `is_measuring` between warm-up and end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_running = True
        self.is_measuring = False
        self.latencies: list[float] = []
        self.errors = 0
        self.first_error = ""

    def now(self) -> float:
        """The clock that latencies are taken from."""
        return self._clock.monotonic()

    def ended(self, begun: float, problem: str, weight: int = 1) -> None:
        """`weight` operations that began at `begun` ended; an empty `problem` means well."""
        if not self.is_measuring:
            return
        if problem:
            self.errors += 1
            self.first_error = self.first_error or problem
            return
        self.latencies.extend([self._clock.monotonic() - begun] * weight)
