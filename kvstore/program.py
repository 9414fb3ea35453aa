"""One member as a process: event loop, signals, readiness, and an orderly end.

The first SIGTERM or SIGINT stops in order: leadership is handed over, clients are sent away, files are closed. A second
one ends the process at once, as it does etcd; nothing acknowledged is lost by that.
"""

import asyncio
import datetime
import errno
import gc
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvstore.base import descriptors, zap_log
from kvstore.base.clock import Clock, SystemClock
from kvstore.base.files import Files
from kvstore.base.log import get_logger
from kvstore.base.notify import notify
from kvstore.base.tasks import Supervisor
from kvstore.bootstrap import StartError, joined, must_join, settle
from kvstore.config.reader import MemberConfig
from kvstore.node import Node
from kvstore.raft.pysync.discovery import ask_members
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.replicator import MemberId, ReplicationError
from kvstore.server.maintenance import VERSION
from kvstore.wire.engine import ListenError

if TYPE_CHECKING:
    from kvstore.faults.control import FaultControl

EXIT_OK, EXIT_FAILURE = 0, 1
_SWITCH_SECONDS = 0.0005
_DISK_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS))

log = get_logger("kvstore.program")


def run(config: MemberConfig) -> int:
    """Run a member until a signal or a failure; the exit code."""
    descriptors.raise_limit()
    try:
        outputs = zap_log.configure(
            level=config.log_level, form=config.log_format, outputs=config.log_outputs
        )
    except OSError as error:
        problem = f"couldn't open sink {error.filename!r}: {error.strerror}"
        sys.stderr.write(zap_log.line("fatal", "failed to verify flags", error=problem) + "\n")
        return EXIT_FAILURE
    try:
        log.info("Running: ", args=[sys.argv[0], *sys.argv[1:]])
        for warning in config.warnings:
            log.warning(warning)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_serve(config))
    finally:
        outputs.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _join(config: MemberConfig) -> MemberConfig:
    """Ask the members that there are for this one's id. Raises StartError."""
    others = [at for one, at in config.peer_addresses.items() if one != config.member_id]
    answer = await ask_members(others, config.peer_tls)
    if answer is None:
        raise StartError(
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
        )
    members = {MemberId(one): urls for one, urls, _ in answer.members}
    counting = [MemberId(one) for one, _, counts in answer.members if counts]
    return joined(config, answer.cluster, members, counting)


async def _serve(config: MemberConfig) -> int:
    # Loading makes much and drops little: the collector would only walk it over and over.
    gc.disable()
    # The log's thread needs the interpreter for moments only, and all writes wait for it.
    sys.setswitchinterval(_SWITCH_SECONDS)
    tasks = Supervisor("program")
    stopping = _catch_signals()
    node: Node | None = None
    control: FaultControl | None = None
    started = False
    try:
        # A directory that says otherwise wins over the flags, also for the names that faults go by.
        config = settle(config)
        _make_certificates(config)
        if must_join(config):
            config = await _join(config)
        log.info(
            "starting an etcd server",
            etcd_version=VERSION,
            name=config.name,
            data_dir=str(config.data_dir),
            initial_cluster=[f"{one:x}={','.join(urls)}" for one, urls in config.peer_urls.items()],
        )
        clock: Clock = SystemClock()
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
        if control is not None:
            await _start_control(control)
        await node.start()
        started = True
    except (StartError, ListenError, ReplicationError, OSError) as error:
        log.critical("failed to start etcd", error=reason_of(error, config.data_dir))
    if not started or node is None:
        await _stop(node, control, tasks)
        return EXIT_FAILURE
    # What lives until now lives for ever: keep the collector from walking it again and again.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
    _say_serving(config, node)
    tasks.start(_notify_ready(node), "notify")
    failure = tasks.start(node.wait(), "failure")
    signalled = tasks.start(stopping.wait(), "signal")
    await asyncio.wait({failure, signalled}, return_when=asyncio.FIRST_COMPLETED)
    error_found = failure.exception() if failure.done() else None
    if error_found is not None:
        reason = reason_of(error_found, config.data_dir)
        log.error("the member must stop", error=reason, exc_info=error_found)
    _notify("STOPPING=1")
    log.info("closing etcd server", name=config.name, data_dir=str(config.data_dir))
    await _stop(node, control, tasks)
    log.info("closed etcd server", name=config.name, data_dir=str(config.data_dir))
    return EXIT_OK if error_found is None else EXIT_FAILURE


def reason_of(error: BaseException, data_dir: Path) -> str:
    """The error in one sentence. The system names no file where a descriptor was written to."""
    if isinstance(error, OSError) and error.filename is None and error.errno in _DISK_ERRORS:
        return f"cannot write in {data_dir}: {error.strerror}"
    return str(error)


async def _start_control(control: "FaultControl") -> None:
    from kvstore.faults.control import FaultControlError

    try:
        await control.start()
    except FaultControlError as error:
        raise StartError(str(error)) from error


async def _stop(node: Node | None, control: "FaultControl | None", tasks: Supervisor) -> None:
    if node is not None:
        await node.stop()
    if control is not None:
        await control.stop()
    await tasks.stop()


def _catch_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def caught(number: signal.Signals) -> None:
        if stopping.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        log.info("received signal; shutting down", signal=signal.strsignal(number))
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught, number)
    return stopping


def _say_serving(config: MemberConfig, node: Node) -> None:
    log.info(
        "now serving peer/client/metrics",
        local_member_id=f"{config.member_id:x}",
        advertise_client_urls=config.advertise_client_urls,
        listen_peer_urls=[f"{host}:{port}" for host, port in config.peer_listens],
        listen_client_urls=[str(one) for one in node.client_addresses],
        listen_metrics_urls=[str(one) for one in node.metrics_addresses],
    )


async def _notify_ready(node: Node) -> None:
    await node.ready.wait()
    for one in node.client_addresses:
        if one.tls is None:
            log.info(
                "serving client traffic insecurely; this is strongly discouraged!", address=str(one)
            )
        else:
            log.info("serving client traffic securely", address=str(one))
    _notify("READY=1")


def _notify(state: str) -> None:
    try:
        if notify(state, os.environ):
            log.info("successfully notified init daemon", state=state)
    except OSError as error:
        log.warning("failed to notify init daemon", error=str(error))


def _make_certificates(config: MemberConfig) -> None:
    auto = config.auto_tls
    if auto.client is None and auto.peer is None:
        return
    from kvstore import self_signed

    # A date on a certificate is the one thing here that wants the time of day.
    now = datetime.datetime.now(datetime.UTC)
    try:
        if auto.client is not None:
            self_signed.ensure(auto.client, auto.client_hosts, auto.years, now)
        if auto.peer is not None:
            self_signed.ensure(auto.peer, auto.peer_hosts, auto.years, now)
    except OSError as error:
        raise StartError(f"cannot generate cert: {error}") from error


def _fault_points(
    config: MemberConfig, socket_path: Path, clock: Clock
) -> "tuple[FaultControl, Clock, dict[str, Any]]":
    """The socket, the clock to use, and what the replicator gets; only a member that asked for it has them."""
    from kvstore.faults.control import FaultControl
    from kvstore.faults.member import MemberFaults

    faults = MemberFaults(
        config.member_id, config.peer_names, clock, Files(), random.Random(), time.sleep
    )
    points = {"link_filter": faults.network, "files": faults.files}
    return FaultControl(socket_path, faults), faults.clock, points
