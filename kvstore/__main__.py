"""The program `kvstore`: one member of the store, started with etcd's flags.

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 a failure while starting or running, 2 wrong flags or settings.
"""

import asyncio
import gc
import os
import random
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvstore.flags import IGNORED, KNOWN, parse

if TYPE_CHECKING:
    from kvstore.base.clock import Clock
    from kvstore.config import MemberConfig
    from kvstore.faults.control import FaultControl

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a member until a signal; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    flags = parse(words, os.environ)
    if flags.boolean("help"):
        sys.stdout.write(_help())
        return EXIT_OK
    # Compat: what launches etcd reads the first line of `etcd --version`; heavy imports wait until they are needed.
    from kvstore.config import ConfigError, from_flags

    if flags.boolean("version"):
        from kvstore.server.maintenance import VERSION

        sys.stdout.write(f"etcd Version: {VERSION}\nkvstore (quorate), etcd-compatible\n")
        return EXIT_OK
    try:
        config = from_flags(flags)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"kvstore: {problem}\n")
        return EXIT_USAGE
    return _run(config)


def _run(config: "MemberConfig") -> int:
    from kvstore.base import log as logs

    logs.configure("kvstore", level=config.log_level, form="json")
    for warning in config.warnings:
        logs.get_logger("kvstore").warning(warning)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_serve(config))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(config: "MemberConfig") -> int:
    from kvstore.base.clock import SystemClock
    from kvstore.base.log import get_logger
    from kvstore.base.tasks import Supervisor
    from kvstore.faults.control import FaultControlError
    from kvstore.node import Node, StartError
    from kvstore.raft.pysync.engine import PySyncReplicator
    from kvstore.raft.replicator import ReplicationError
    from kvstore.wire.engine import ListenError

    log = get_logger("kvstore")
    clock: Clock = SystemClock()
    control: FaultControl | None = None
    points: dict[str, Any] = {}
    if config.fault_socket is not None:
        control, clock, points = _fault_points(config, config.fault_socket, clock)
    node = Node(
        config,
        clock,
        random.Random(),
        lambda settings, machine: PySyncReplicator(
            settings, machine, clock, random.Random(), **points
        ),
    )
    tasks = Supervisor("program")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        if control is not None:
            await control.start()
        await node.start()
    except (StartError, ListenError, ReplicationError, FaultControlError, OSError) as error:
        sys.stderr.write(f"kvstore: {error}\n")
        await node.stop()
        if control is not None:
            await control.stop()
        return EXIT_FAILURE
    # What lives until now lives for ever: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    failure = tasks.start(node.wait(), "failure")
    signalled = tasks.start(stopping.wait(), "signal")
    await asyncio.wait({failure, signalled}, return_when=asyncio.FIRST_COMPLETED)
    error_found = failure.exception() if failure.done() else None
    if error_found is None:
        log.info("stopping on a signal")
    else:
        log.error("the member must stop", error=str(error_found), exc_info=error_found)
    await node.stop()
    if control is not None:
        await control.stop()
    await tasks.stop()
    log.info("stopped")
    return EXIT_OK if error_found is None else EXIT_FAILURE


def _fault_points(
    config: "MemberConfig", socket_path: Path, clock: "Clock"
) -> "tuple[FaultControl, Clock, dict[str, Any]]":
    """The socket, the clock to use, and what the replicator gets; only a member that asked for it has them."""
    from kvstore.base.files import Files
    from kvstore.faults.control import FaultControl
    from kvstore.faults.member import MemberFaults

    faults = MemberFaults(
        config.member_id, config.peer_names, clock, Files(), random.Random(), time.sleep
    )
    points = {"link_filter": faults.network, "files": faults.files}
    return FaultControl(socket_path, faults), faults.clock, points


def _help() -> str:
    lines = [
        "kvstore: one member of a store that speaks etcd's API, started with etcd's flags.",
        "",
    ]
    lines += [f"  --{name} {default!r}" for name, default in KNOWN.items()]
    lines += [
        "",
        "Each can be given as a variable too, such as ETCD_DATA_DIR. Accepted without effect:",
        "",
    ]
    lines += textwrap.wrap(
        " ".join(sorted(IGNORED)), 96, initial_indent="  ", subsequent_indent="  "
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
