"""Limits by control groups, below the group this process is in: version 2 where it is delegated, version 1 for root.

<own group>/quorate-<node>/<container>
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_PERIOD = 100_000
_V1 = ("memory", "cpu", "pids")


@dataclass(frozen=True, slots=True)
class Group:
    """The group of one container: a folder in each hierarchy."""

    folders: tuple[Path, ...]
    unified: bool
    shown: dict[str, str] = field(default_factory=dict)
    """What the container is to see of it, by controller; "" stands for all, with version 2."""

    def join(self) -> None:
        """Put this process, and its children to be, into it."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text("0")

    def oom_kills(self) -> int:
        """How many processes were killed because their memory limit was reached."""
        name = "memory.events" if self.unified else "memory.oom_control"
        for folder in self.folders:
            with contextlib.suppress(OSError):
                for line in (folder / name).read_text().splitlines():
                    key, _, value = line.partition(" ")
                    if key == "oom_kill":
                        return int(value)
        return 0

    def usage(self) -> tuple[float, int, int] | None:
        """Seconds of processor time, bytes of memory, bytes of working set; None when it is gone."""
        try:
            if self.unified:
                top = self.shown[""]
                cpu = _entries(f"{top}/cpu.stat").get("usage_usec", 0) / 1e6
                memory = int(Path(top, "memory.current").read_text())
                unused = _entries(f"{top}/memory.stat").get("inactive_file", 0)
            else:
                top = self.shown["memory"]
                counted = self.shown.get("cpuacct")
                cpu = int(Path(counted, "cpuacct.usage").read_text()) / 1e9 if counted else 0.0
                memory = int(Path(top, "memory.usage_in_bytes").read_text())
                unused = _entries(f"{top}/memory.stat").get("total_inactive_file", 0)
        except (OSError, ValueError):
            return None
        return cpu, memory, max(0, memory - unused)

    def remove(self) -> None:
        """Delete it; its processes have been killed, and are gone soon."""
        for folder in self.folders:
            _remove(folder)


def _entries(file: str) -> dict[str, int]:
    rows = [line.split() for line in Path(file).read_text().splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.002)  # Killed processes leave a moment later.
        else:
            return


class Cgroups:
    """The groups of a node. Without any it makes none, and says why."""

    def __init__(self, name: str) -> None:
        self.problem = ""
        self._unified = False
        self._tops: dict[str, Path] = {}
        try:
            self._find(f"quorate-{name}")
            self._clear()
        except OSError as problem:
            self.problem = f"no limits: {problem}"
            self._tops = {}

    @property
    def available(self) -> bool:
        """Whether limits are kept."""
        return bool(self._tops)

    def make(self, container_id: str, limits: dict[str, int]) -> Group | None:
        """A group with these limits, to be joined by the container. Raises OSError."""
        if not self._tops:
            return None
        folders = []
        for top in dict.fromkeys(self._tops.values()):
            folder = top / container_id
            folder.mkdir(exist_ok=True)
            folders.append(folder)
        named = {kind: top / container_id for kind, top in self._tops.items()}
        if self._unified:
            named = {"": folders[0]}
        group = Group(tuple(folders), self._unified, {k: str(v) for k, v in named.items()})
        self._limit(container_id, limits)
        return group

    def update(self, container_id: str, limits: dict[str, int]) -> None:
        """Give the processes of a container other limits, or none where they are 0. Raises OSError."""
        if self._tops:
            self._limit(container_id, limits, again=True)

    def close(self) -> None:
        """Remove the node's own groups."""
        self._clear()
        for top in dict.fromkeys(self._tops.values()):
            _remove(top)

    def _clear(self) -> None:
        """Remove groups of containers: at the start those of an earlier life that was killed."""
        for top in dict.fromkeys(self._tops.values()):
            for folder in list(top.iterdir()) if top.is_dir() else ():
                if folder.is_dir():
                    _remove(folder)

    def _limit(self, container_id: str, limits: dict[str, int], *, again: bool = False) -> None:
        def put(kind: str, name: str, value: object) -> None:
            if kind in self._tops:
                (self._tops[kind] / container_id / name).write_text(str(value))

        memory, cpu = limits.get("memory_bytes", 0), limits.get("cpu_millis", 0)
        pids, shares = limits.get("pids", 0), limits.get("cpu_shares", 0)
        none = "max" if self._unified else -1
        if memory or again:
            self._limit_memory(put, memory or none)
        quota = max(1000, cpu * _PERIOD // 1000) if cpu else none
        if (cpu or again) and self._unified:
            put("cpu", "cpu.max", f"{quota} {_PERIOD}")
        elif cpu or again:
            put("cpu", "cpu.cfs_period_us", _PERIOD)
            put("cpu", "cpu.cfs_quota_us", quota)
        if shares and self._unified:
            put("cpu", "cpu.weight", min(10000, max(1, 1 + (shares - 2) * 9999 // 262142)))
        elif shares:
            put("cpu", "cpu.shares", max(2, shares))
        if pids:
            put("pids", "pids.max", pids)

    def _limit_memory(self, put: Callable[[str, str, object], None], memory: object) -> None:
        if self._unified:
            put("memory", "memory.max", memory)
            with contextlib.suppress(OSError):
                put("memory", "memory.swap.max", "max" if memory == "max" else 0)
            return
        with_swap = "memory.memsw.limit_in_bytes"
        with contextlib.suppress(OSError):
            put("memory", with_swap, memory)  # First where it grows: it may not be below the other.
        put("memory", "memory.limit_in_bytes", memory)
        with contextlib.suppress(OSError):  # Swap is not counted by every kernel.
            put("memory", with_swap, memory)

    def _find(self, name: str) -> None:
        own = {}
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            for kind in kinds.split(","):
                own[kind] = path
        if self._version_two(own.get("", "/"), name):
            return
        for kind in _V1:
            top = _mounted("cgroup", kind)
            if top is None or kind not in own:
                raise OSError(f"no {kind} controller")
            folder = Path(f"{top}{own[kind].rstrip('/')}") / name
            folder.mkdir(exist_ok=True)
            self._tops[kind] = folder
        counting = _mounted("cgroup", "cpuacct")
        if counting is not None and "cpuacct" in own:
            folder = Path(f"{counting}{own['cpuacct'].rstrip('/')}") / name
            with contextlib.suppress(OSError):  # Nothing is limited by it.
                folder.mkdir(exist_ok=True)
                self._tops["cpuacct"] = folder

    def _version_two(self, own: str, name: str) -> bool:
        mount = _mounted("cgroup2", "")
        if mount is None:
            return False
        group = Path(f"{mount}{own.rstrip('/')}")
        have = set((group / "cgroup.controllers").read_text().split())
        if not {"memory", "pids"} <= have or not os.access(group / "cgroup.procs", os.W_OK):
            return False
        wanted = " ".join(f"+{kind}" for kind in ("memory", "pids", "cpu") if kind in have)
        leaf = group / "quorate-kubelet"
        leaf.mkdir(exist_ok=True)
        # No group may have both processes and limited children: this one's move down first.
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (leaf / "cgroup.procs").write_text(pid)
        (group / "cgroup.subtree_control").write_text(wanted)
        top = group / name
        top.mkdir(exist_ok=True)
        (top / "cgroup.subtree_control").write_text(wanted)
        self._unified = True
        self._tops = dict.fromkeys(("memory", "pids", "cpu"), top)
        return True


def _mounted(kind: str, controller: str) -> str | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        front, _, back = line.partition(" - ")
        found, _, options = back.split(" ", 2)
        if found == kind and (not controller or controller in options.split(",")):
            return front.split()[4]
    return None
