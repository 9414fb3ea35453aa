"""The warm parent: a process that imports the programs once and forks them on request.

Fourteen interpreters that each import the same libraries cost seconds of CPU and a copy of every page; forked from one
warm parent they start in milliseconds and share the pages. It has no event loop and no thread, so forking it is safe.
It reads requests from a socket that only the supervisor holds, and tells it every child's pid and end, for it is the
children's parent. When the socket closes, or its own parent dies, all children are killed: nothing is left behind.

Wire, one JSON document a line. Supervisor: `{"id", "module", "argv", "env", "log"}`. Warm parent:
`{"id", "pid"}` or `{"id", "error"}`, and `{"pid", "status"}` (a wait status) for each child that ended.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

from kvstore.local.lifeline import die_with_parent

REQUEST_LIMIT_BYTES = 1 << 20
"""A request carries one command line and one environment; the kernel's own limits are of this order."""


class _Job(Exception):
    """Raised in a forked child to leave the parent's loop: what it is to run."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        self.request = request


class WarmParent:
    """The loop: requests in, pids and ends out."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = bytearray()
        self._children: set[int] = set()
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._wake_write = wake_write

    def preload(self, modules: Sequence[str]) -> None:
        """Import `modules` one by one, serving what is asked meanwhile."""
        # Importing makes much and drops little: the collector would only walk it, a twelfth of the time.
        gc.disable()
        for name in modules:
            # A missing part of the product shows when it is started, with its own message.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
            self._turn(0.0)
        # What was imported lives for ever; a collector that walks it would copy every shared page.
        gc.collect()
        gc.freeze()
        gc.enable()

    def run(self) -> None:
        """Serve until the supervisor closes the socket."""
        while self._turn(None):
            pass

    def end(self) -> None:
        """Kill what still runs."""
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _turn(self, timeout: float | None) -> bool:
        control = self._control.fileno()
        ready, _, _ = select.select([control, self._wake], [], [], timeout)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
            self._reap()
        if control not in ready:
            return True
        data = self._control.recv(1 << 16)
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._fork(json.loads(line))
        return bool(data) and len(self._buffer) <= REQUEST_LIMIT_BYTES

    def _fork(self, request: dict[str, Any]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._send({"id": request["id"], "error": error.strerror})
            return
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake)
            os.close(self._wake_write)
            raise _Job(request)
        self._children.add(pid)
        self._send({"id": request["id"], "pid": pid})

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            self._send({"pid": pid, "status": status})

    def _send(self, document: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(json.dumps(document).encode() + b"\n")


def _become(request: dict[str, Any], parent: int) -> None:
    """Turn this forked child into the program asked for; returns or raises SystemExit as it does."""
    # It may have been forked in the middle of the imports.
    gc.enable()
    os.setsid()
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(request["env"])
    setproctitle(" ".join((sys.executable, "-m", request["module"], *request["argv"])))
    sys.argv = [request["module"], *request["argv"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _names(text: str) -> list[str]:
    return text.split(",") if text else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; only the supervisor starts it."""
    parser = argparse.ArgumentParser("kvstore.local.warm", allow_abbrev=False)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--preload", type=_names, default=[])
    options = parser.parse_args(arguments)
    # Should the end of the control socket not be seen, as while modules are imported.
    die_with_parent()
    # The first title must be set while the environment is where the kernel put it; the children's come later.
    setproctitle(" ".join((sys.executable, "-m", "kvstore.local.warm")))
    # Imported modules must not find themselves under a relative path after a child changes its folder.
    sys.path[:] = [str(Path(entry).resolve()) for entry in sys.path]
    me = os.getpid()
    parent = WarmParent(socket.socket(fileno=options.control_fd))
    try:
        parent.preload(options.preload)
        parent.run()
    except _Job as job:
        request = job.request
    else:
        parent.end()
        return 0
    _become(request, me)
    return 0


if __name__ == "__main__":
    sys.exit(main())
