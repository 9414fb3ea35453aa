"""PySyncObj as it comes, under kills and partitions: what the guards are there for.

A small world of its own: only the library's replication, with its journal and dump files on a disk that loses nothing
(a kill keeps all that was written), over links that keep their order. None of our guards, overrides and files. Checked
is one thing only: whoever applies index i applies the same command.
"""

import copy
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kvstore.raft.pysync import library as known
from kvstore.raft.pysync import overrides
from kvstore.testing.sim_loop import SimLoop

# The library as replication has imported it: no other module needs to know where it comes from.
library: Any = known.library  # type: ignore[attr-defined]
Transport: Any = known.Transport  # type: ignore[attr-defined]
Node: Any = overrides.Node  # type: ignore[attr-defined]
SyncObjConf: Any = overrides.SyncObjConf  # type: ignore[attr-defined]

_TICK_SECONDS = 0.02


class _StockTransport(Transport):  # type: ignore[misc]
    """Hands messages to the world's links."""

    def __init__(self, send: Callable[[str, Any], bool]) -> None:
        super().__init__(None, None, [])
        self._send = send

    def send(self, node: Any, message: Any) -> bool:
        """Send to a connected member."""
        return self._send(node.id, message)

    def destroy(self) -> None:
        """Nothing to close."""


class _StockMember(library.SyncObj):  # type: ignore[misc]
    """A list that is replicated."""

    def __init__(self, name: str, others: list[str], folder: Path, world: "StockWorld") -> None:
        self._tell = lambda index, value: world.applied(name, index, value)
        self.transport = _StockTransport(lambda to, message: world.send(name, to, message))
        conf = SyncObjConf(
            autoTick=False,
            journalFile=str(folder / "journal"),
            fullDumpFile=str(folder / "dump"),
            useFork=False,
            logCompactionMinEntries=8,
            logCompactionMinTime=1,
            appendEntriesUseBatch=False,
            dynamicMembershipChange=False,
        )
        super().__init__(  # type: ignore[no-untyped-call,unused-ignore]
            Node(name), [Node(other) for other in others], conf, transport=self.transport
        )
        # What is set from here on is the state that the library saves and sends.
        self.count = 0

    @library.replicated  # type: ignore[untyped-decorator]
    def put(self, value: str) -> None:
        """Apply a command."""
        self.count += 1
        self._tell(self.raftLastApplied + 1, value)


class StockWorld:
    """Three members, a few clients, kills and cuts, for `seconds`."""

    def __init__(self, seed: int, folder: Path, size: int = 3) -> None:
        self.rng = random.Random(f"{seed}/stock")
        self.loop = SimLoop()
        self.folder = folder
        self.names = [f"{number}" for number in range(1, size + 1)]
        self.up: dict[str, _StockMember] = {}
        self._links: dict[tuple[str, str], list[float]] = {}
        self._cut: dict[tuple[str, str], None] = {}
        self._first: dict[int, tuple[str, str]] = {}
        self._count = 0
        self.violation = ""

    def run(self, seconds: float = 40.0) -> str:
        """The first disagreement, or nothing."""
        with _library_of(self.loop, self.rng):
            for name in self.names:
                (self.folder / name).mkdir()
                self._start(name)
            self.loop.call_later(0.0, self._tick)
            self.loop.call_later(2.0, self._disturb)
            self.loop.run_until_time(seconds, lambda: bool(self.violation))
        return self.violation

    def _start(self, name: str) -> None:
        others = [other for other in self.names if other != name]
        self.up[name] = _StockMember(name, others, self.folder / name, self)

    def _tick(self) -> None:
        self._connect()
        for name in list(self.up):
            member = self.up.get(name)
            if member is not None:
                _put: Any = member.put
                member.doTick(0.0)
                if self.rng.random() < 0.15:
                    self._count += 1
                    _put(f"v{self._count}", callback=lambda *_: None)
        self.loop.call_later(_TICK_SECONDS, self._tick)

    def _disturb(self) -> None:
        choice, name = self.rng.randrange(8), self.rng.choice(self.names)
        if choice <= 1 and name in self.up:
            self._kill(name)
        elif choice == 2:
            self._isolate(name)
        elif choice == 3:
            self._cut.clear()
        elif choice == 4:
            # Connections that break and come back at once.
            for other in self.names:
                self._disconnect(name, other)
        else:
            for other in self.names:
                if other not in self.up:
                    self._start(other)
        self.loop.call_later(self.rng.uniform(0.05, 1.2), self._disturb)

    def _kill(self, name: str) -> None:
        del self.up[name]
        for other in self.names:
            self._disconnect(name, other)

    def _isolate(self, name: str) -> None:
        for other in self.names:
            self._cut[min(name, other), max(name, other)] = None
            self._disconnect(name, other)

    def _connect(self) -> None:
        for one in self.names:
            for two in self.names:
                pair = (one, two)
                is_open = one < two and pair not in self._links and pair not in self._cut
                if is_open and one in self.up and two in self.up:
                    self._links[one, two], self._links[two, one] = [0.0], [0.0]
                    self.up[one].transport._onNodeConnected(Node(two))
                    self.up[two].transport._onNodeConnected(Node(one))

    def _disconnect(self, one: str, two: str) -> None:
        if self._links.pop((one, two), None) is not None:
            self._links.pop((two, one))
            for here, there in ((one, two), (two, one)):
                if here in self.up:
                    self.up[here].transport._onNodeDisconnected(Node(there))

    def send(self, source: str, target: str, message: Any) -> bool:
        """Carry a message, in order, unless the link breaks meanwhile."""
        link = self._links.get((source, target))
        if link is None:
            return False
        link[0] = max(link[0], self.loop.time() + self.rng.uniform(0.0005, 0.02))
        held = copy.deepcopy(message)

        def arrive() -> None:
            if self._links.get((source, target)) is link and target in self.up:
                self.up[target].transport._onMessageReceived(Node(source), held)

        self.loop.call_at(link[0], arrive)
        return True

    def applied(self, member: str, index: int, value: str) -> None:
        """Compare with whoever applied this index first."""
        first = self._first.setdefault(index, (member, value))
        if first[1] != value and not self.violation:
            self.violation = (
                f"at {self.loop.time():.2f} s entry {index} is {first[1]} on {first[0]} "
                f"and {value} on {member}"
            )


@contextmanager
def _library_of(loop: SimLoop, rng: random.Random) -> Iterator[None]:
    """The library on virtual time, with chance from the seed, without sockets and pipes."""
    replaced = {
        "monotonicTime": loop.time,
        "random": rng,
        "createPoller": lambda _: known._NoPoller(),
        "PIPE_NOTIFIER_ENABLED": False,
    }
    saved = {name: getattr(library, name) for name in replaced}
    for name, value in replaced.items():
        setattr(library, name, value)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(library, name, value)


def try_stock(seed: int, seconds: float = 40.0) -> str:
    """How stock PySyncObj breaks agreement under this seed; empty if it does not."""
    with tempfile.TemporaryDirectory() as folder:
        return StockWorld(seed, Path(folder)).run(seconds)
