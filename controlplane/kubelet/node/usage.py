"""What the machine of a node uses, as its kernel counts."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = 100.0
"""Of /proc/stat in a second, on all machines that Linux runs on today (USER_HZ)."""
_BUSY = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq and steal; idle and iowait are not use."""


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """Processor time since the start of the machine, memory and disk now."""

    cpu_seconds: float
    memory_total: int
    memory_available: int
    disk_total: int
    disk_available: int
    inodes: int
    inodes_free: int
    started_at: float
    """Unix seconds."""

    @property
    def working_set(self) -> int:
        """Bytes of memory that cannot be had back."""
        return max(0, self.memory_total - self.memory_available)


def read_node_usage(disk: str, proc: Path = Path("/proc")) -> NodeUsage:
    """The machine's, with the file system that holds `disk`; zeros for what this machine does not tell."""
    cpu, started = _cpu(proc / "stat")
    memory = _memory(proc / "meminfo")
    room = os.statvfs(disk)
    return NodeUsage(
        cpu_seconds=cpu,
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        disk_total=room.f_blocks * room.f_frsize,
        disk_available=room.f_bavail * room.f_frsize,
        inodes=room.f_files,
        inodes_free=room.f_ffree,
        started_at=started,
    )


def _cpu(file: Path) -> tuple[float, float]:
    seconds = started = 0.0
    for line in _lines(file):
        name, *values = line.split()
        if name == "cpu":
            seconds = sum(int(values[index]) for index in _BUSY) / _TICKS
        elif name == "btime":
            started = float(values[0])
    return seconds, started


def _memory(file: Path) -> dict[str, int]:
    found = {}
    for line in _lines(file):
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text().splitlines() if line.strip()]
    except OSError:
        return []
