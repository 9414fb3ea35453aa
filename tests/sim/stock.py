"""PySyncObj as it is, without our guards, in a small simulated world: what it breaks by itself.

    python tests/sim/stock.py --seeds 20 --faults power-loss-all,isolate

Three of the library's own `SyncObj`, not a method of it replaced, on virtual time: its transport is a subclass of its
`Transport` over simulated links (in order, delayed, cut, reset), its `FileJournal` writes to a simulated disk in the
place of a mapped file, its clock and its dice are the seed's. The configuration is the library's default. Registers are
written and read as replicated methods, so that a read costs a log entry; with `--local-reads` they are answered from
the memory of whoever is asked, as its documentation shows.

Compared with the store's simulation there is little traffic and few faults. Snapshots are left out: the library writes
them in a forked process.
"""

import argparse
import copy
import importlib
import pickle
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

from kvstore.raft.pysync.imported import Node, SyncObjConf, Transport, library
from kvstore.testing.check.verdict import check_all
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.model import Model
from kvstore.testing.history.records import Ok, Outcome, Put, Range, Unknown
from kvstore.testing.sim.disk import SimDisk
from kvstore.testing.sim.loop import SimLoop

journal: Any = importlib.import_module("pysyncobj.journal")

NAMES = ("1", "2", "3")
PAGE = 4096
FAULTS = ("kill", "power-loss", "power-loss-all", "isolate", "reset")
SECONDS, TICK_SECONDS, DEADLINE_SECONDS = 20.0, 0.05, 4.0


class _Peer(Node):
    """Hashed by its number: the library walks sets of nodes, and runs must repeat."""

    def __hash__(self) -> int:
        return int(self.id)


class _Wire(Transport):
    def __init__(self, member: "Member") -> None:
        super().__init__(None, None, [])
        self._member = member

    def send(self, node: Any, message: Any) -> bool:
        return self._member.world.send(self._member.name, node.id, message)

    def destroy(self) -> None:
        pass


class _Mapped:
    """What the library's journal uses of its mapped file: written at once, durable at a flush."""

    disk: SimDisk

    def __init__(self, path: str, initialSize: int = 1024, defaultContent: Any = None) -> None:
        name = self.disk.root / path
        if not name.exists():
            self.disk.create(name).write(0, defaultContent)
        self._inode = self.disk.find(name)

    def write(self, offset: int, values: bytes) -> None:
        self._inode.write(offset, bytes(values))

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._inode.data[offset : offset + size])

    def flush(self) -> None:
        self.disk.sync_file(self._inode)

    def _destroy(self) -> None:
        pass


class _Meta:
    """Term and vote as the library keeps them: a file beside, renamed; neither is synced."""

    disk: SimDisk

    def __init__(self, path: str) -> None:
        self._path = self.disk.root / path

    def getMeta(self) -> Any:
        try:
            return pickle.loads(self._path.read_bytes())
        except Exception:
            # As the library does.
            return {}

    def storeMeta(self, meta: Any) -> None:
        aside = self._path.with_name(self._path.name + ".tmp")
        self.disk.create(aside).write(0, pickle.dumps(meta))
        self.disk.rename(aside, self._path)


class Register(library.SyncObj):
    """Keys with revisions, as the checkers know them."""

    def __init__(self, member: "Member", conf: Any) -> None:
        self._member, self._model = member, Model()
        others = [_Peer(name) for name in NAMES if name != member.name]
        super().__init__(_Peer(member.name), others, conf, transport=_Wire(member))

    @library.replicated
    def put(self, key: bytes, value: bytes) -> Any:
        self._member.world.applied(self._member, self.raftLastApplied + 1, (key, value))
        reply = self._model.apply(Put(key, value))
        return self._model.revision, reply

    @library.replicated
    def get(self, key: bytes, end: bytes) -> Any:
        return self.look(key, end)

    def look(self, key: bytes, end: bytes) -> Any:
        return self._model.revision, self._model.read(Range(key, end))


class Member:
    """One member over all its boots."""

    def __init__(self, world: "StockWorld", name: str) -> None:
        self.world, self.name = world, name
        self.disk = SimDisk(random.Random(f"{world.seed}/disk/{name}"))
        self.store: Register | None = None
        self.boot = 0

    def start(self) -> None:
        if self.store is not None:
            return
        self.boot += 1
        made = {
            (library, "createPoller"): lambda _: _NoPoller(),
            (library, "PIPE_NOTIFIER_ENABLED"): False,
            (journal, "ResizableFile"): type("Mapped", (_Mapped,), {"disk": self.disk}),
            (journal, "MetaStorer"): type("Meta", (_Meta,), {"disk": self.disk}),
        }
        saved = {key: getattr(*key) for key in made}
        for (where, name), value in made.items():
            setattr(where, name, value)
        try:
            self.store = Register(self, SyncObjConf(autoTick=False, journalFile="journal"))
        except Exception as error:
            self.world.violate("crash-safety", f"{self.name} does not start again: {error!r}")
            return
        finally:
            for (where, name), value in saved.items():
                setattr(where, name, value)
        self.tick(self.boot)

    def tick(self, boot: int) -> None:
        if self.store is not None and boot == self.boot:
            self.store.doTick(0.0)
            self.world.loop.call_later(TICK_SECONDS, self.tick, boot)

    def kill(self, *, is_power_loss: bool) -> None:
        self.store = None
        self.world.drop(self.name)
        if is_power_loss:
            self._write_back()
            self.disk.lose_power()

    def _write_back(self) -> None:
        """The kernel has written some of the dirty pages by itself, each as it is now."""
        for inode in self.disk._names.values():
            for start in range(0, len(inode.data), PAGE):
                if self.world.rng.random() < 0.5:
                    page = inode.data[start : start + PAGE]
                    missing = start + len(page) - len(inode.durable)
                    inode.durable.extend(bytes(max(0, missing)))
                    inode.durable[start : start + len(page)] = page
            inode.pending.clear()


class _NoPoller:
    def poll(self, _: float) -> None:
        pass


class StockWorld:
    """See the module. `run` once."""

    def __init__(self, seed: int, faults: Sequence[str], *, reads_locally: bool = False) -> None:
        self.seed, self._reads_locally = seed, reads_locally
        self.loop = SimLoop()
        self.rng = random.Random(f"{seed}/stock")
        self._faults = faults
        self.history = History(seed=seed)
        self.violations: list[Violation] = []
        self._applied: dict[int, tuple[Any, str]] = {}
        self._votes: dict[tuple[str, int], str] = {}
        self._links: dict[tuple[str, str], list[float]] = {}
        self._cut: dict[str, None] = {}
        self._held: list[Callable[[], None]] = []
        self._is_over = False
        self.members = {name: Member(self, name) for name in NAMES}

    # Links

    def _connect(self) -> None:
        for one in NAMES:
            for two in NAMES:
                stores = self.members[one].store, self.members[two].store
                up = None not in stores and one not in self._cut and two not in self._cut
                if one < two and up and (one, two) not in self._links:
                    self._links[one, two], self._links[two, one] = [0.0], [0.0]
                    for store, other in zip(stores, (two, one), strict=True):
                        assert store is not None
                        store._SyncObj__transport._onNodeConnected(_Peer(other))
        if not self._is_over:
            self.loop.call_later(0.1, self._connect)

    def drop(self, name: str) -> None:
        for one, two in list(self._links):
            if one == name or two == name:
                del self._links[one, two]
                store = self.members[one].store
                if store is not None:
                    store._SyncObj__transport._onNodeDisconnected(_Peer(two))

    def send(self, source: str, target: str, message: Any) -> bool:
        link = self._links.get((source, target))
        if link is None:
            return False
        if message["type"] == "response_vote":
            key = (source, message["term"])
            if self._votes.setdefault(key, target) != target:
                self.violate("one-vote", f"{source} voted twice in term {message['term']}")
        link[0] = max(link[0], self.loop.now + self.rng.uniform(1e-4, 1.5e-3))
        sent = copy.deepcopy(message)

        def arrive() -> None:
            store = self.members[target].store
            if self._links.get((source, target)) is not link or store is None:
                return
            if source in self._cut or target in self._cut:
                self._held.append(arrive)
                return
            store._SyncObj__transport._onMessageReceived(_Peer(source), sent)

        self.loop.call_at(link[0], arrive)
        return True

    # What is seen

    def violate(self, name: str, message: str) -> None:
        self.violations.append(Violation(name, message, (), self.loop.now))

    def applied(self, member: Member, index: int, command: Any) -> None:
        first, who = self._applied.setdefault(index, (command, member.name))
        if first != command:
            self.violate(
                "agreement", f"entry {index}: {who} applied {first}, {member.name} {command}"
            )

    # Clients

    def _client(self, name: str, number: int = 0) -> None:
        if self._is_over:
            return
        key = b"k/%d" % self.rng.randrange(3)
        if self.rng.random() < 0.6:
            value = f"{name}.{number}".encode()
            self._ask(name, Put(key, value + b"." * self.rng.choice((0, 0, 30_000))))
        else:
            self._ask(name, Range(key))
        self.loop.call_later(self.rng.uniform(0.05, 0.3), self._client, name, number + 1)

    def _ask(self, name: str, request: Put | Range, at: str = "") -> None:
        store = self.members[at or self.rng.choice(NAMES)].store
        if store is None:
            return
        # Each request is a client of its own: some overlap.
        pending = self.history.begin(f"{name}/{self.history.next_id()}", request, self.loop.now)
        is_open = [True]

        def end(outcome: Outcome) -> None:
            if is_open[0]:
                is_open[0] = False
                self.history.end(pending, self.loop.now, outcome)

        def told(result: Any, error: int) -> None:
            # Whatever the library calls it: nothing is assumed of a request that failed.
            end(Unknown("Failed", str(error)) if error else Ok(*result))

        if isinstance(request, Put):
            store.put(request.key, request.value, callback=told)
        elif self._reads_locally:
            end(Ok(*store.look(request.key, request.range_end)))
        else:
            store.get(request.key, request.range_end, callback=told)
        self.loop.call_later(DEADLINE_SECONDS, end, Unknown("DeadlineExceeded", ""))

    # Faults

    def _disturb(self) -> None:
        if self._is_over:
            return
        kind = self.rng.choice(self._faults)
        member = self.members[self.rng.choice(NAMES)]
        lasts = self.rng.uniform(0.1, 2.0)
        if kind == "isolate":
            self._cut[member.name] = None
            self.loop.call_later(lasts, self._mend, member.name)
        elif kind == "reset":
            self.drop(member.name)
        else:
            struck = list(self.members.values()) if kind == "power-loss-all" else [member]
            for one in struck:
                one.kill(is_power_loss=kind != "kill")
                self.loop.call_later(lasts, one.start)
        self.loop.call_later(self.rng.expovariate(1 / 2.5), self._disturb)

    def _mend(self, name: str) -> None:
        self._cut.pop(name, None)
        held, self._held = self._held, []
        for arrive in held:
            arrive()

    # The run

    def run(self) -> list[Violation]:
        """Live, heal, read everything at every member, and judge."""
        saved = library.monotonicTime, library.random
        library.monotonicTime, library.random = lambda: self.loop.now, self.rng
        try:
            for member in self.members.values():
                member.start()
            self._connect()
            self.loop.call_later(3.0, self._disturb)
            for number in range(3):
                self.loop.call_later(2.0, self._client, f"c{number}")
            self.loop.run_until_time(SECONDS, lambda: bool(self.violations or self.loop.errors))
            self._is_over = True
            for name in list(self._cut):
                self._mend(name)
            for member in self.members.values():
                member.start()
            self._is_over = False
            self.loop.call_later(0.0, self._connect)
            self._is_over = True
            for step in range(40):
                self.loop.call_later(0.25 * step, self._connect)
            self.loop.run_until_time(SECONDS + 12.0)
            for name in NAMES:
                self._ask(f"final-{name}", Range(b"k/", b"k0"), name)
            self.loop.run_until_time(SECONDS + 20.0)
        finally:
            library.monotonicTime, library.random = saved
        for error in self.loop.errors[:1]:
            self.violate("no-internal-errors", repr(error))
        self.history.close(self.loop.now)
        found = self.violations or check_all(self.history)
        self.loop.dispose()
        # Where the search gave up, nobody is guilty.
        return [] if any(one.property == "undecided" for one in found) else list(found)


def main() -> int:
    """Run some seeds; what each came to."""
    parser = argparse.ArgumentParser("stock")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--local-reads", action="store_true")
    options = parser.parse_args()
    guilty: dict[str, int] = {}
    for seed in range(options.first, options.first + options.seeds):
        world = StockWorld(seed, options.faults.split(","), reads_locally=options.local_reads)
        found = world.run()
        if found:
            guilty[found[0].property] = guilty.get(found[0].property, 0) + 1
        told = str(found[0])[:200] if found else f"nothing, {len(world.history)} records"
        sys.stdout.write(f"seed {seed}: {told}\n")
    sys.stdout.write(f"{sum(guilty.values())} of {options.seeds} seeds found it guilty: {guilty}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
