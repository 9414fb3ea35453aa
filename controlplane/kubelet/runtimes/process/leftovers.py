"""Nothing a node ran may outlive its agent, and nothing else may be killed for it.

Three nets, each for what the one before cannot catch:
- the kernel kills a container's first process when the agent dies (PR_SET_PDEATHSIG, Linux only);
- a small shell (`Watchdog`), in a session of its own, reads a pipe that the agent holds open; when the agent dies the
  pipe ends and the shell kills the process groups named in `running/`, so children of the first process go too;
- at the next start `kill_leftovers` looks for processes that carry a container id of this root directory in their
  environment (Linux), or that have the recorded pid *and* start time. A recycled pid has neither.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

MARK = "QUORATE_CONTAINER_ID"
_PR_SET_PDEATHSIG = 1
# No `--`: dash takes it for a process number.
_WATCHDOG = 'cd "$1" || exit 1; read -r _; for group in *; do kill -9 "-$group" 2>/dev/null; done'


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_LIBC = _libc()


def die_with_parent() -> None:
    """For the child, between fork and exec: be killed when the parent's thread ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Watchdog:
    """Kills the groups named by the files of a directory when this process dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the shell; the directory is emptied first."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for old in self._directory.iterdir():
            old.unlink()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "quorate-watchdog", str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def add(self, group: int, container_id: str) -> None:
        """A process group to kill."""
        (self._directory / str(group)).write_text(f"{container_id} {start_time(group)}\n")

    def remove(self, group: int) -> None:
        """The group has ended."""
        (self._directory / str(group)).unlink(missing_ok=True)

    def stop(self) -> None:
        """End the shell; by now `running/` should be empty."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)


def kill_group(group: int, number: int) -> None:
    """Signal a process group that may have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def start_time(pid: int) -> str:
    """When a process started, in whatever unit the platform has; empty if there is no such process."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        # The name in parentheses may hold anything; field 22 is counted after it.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "".join(answer.stdout.split())


def kill_leftovers(running: Path, prefix: str) -> int:
    """Kill what an earlier life left; returns how many. `prefix` starts the ids of this node."""
    killed = 0
    if running.is_dir():
        for file in running.iterdir():
            if not file.name.isdigit():
                continue
            recorded = file.read_text().split()
            pid = int(file.name)
            if len(recorded) == 2 and recorded[1] and recorded[1] == start_time(pid):
                kill_group(pid, signal.SIGKILL)
                killed += 1
    return killed + _kill_marked(prefix)


def _kill_marked(prefix: str) -> int:
    needle = f"{MARK}={prefix}".encode()
    killed = 0
    for directory in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        try:
            environment = (directory / "environ").read_bytes()
        except OSError:
            continue
        if any(item.startswith(needle) for item in environment.split(b"\0")):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(directory.name), signal.SIGKILL)
                killed += 1
    return killed
