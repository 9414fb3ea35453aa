"""`quorate partition|network|disk|clock|heal`: faults of store members and of nodes' links, switched while they run.

Every fault shows in `quorate status` and is undone by `quorate heal`; it outlives a restart of its member or node and
ends with the cluster. A master's name stands for its store member, `leader` for the one that leads now. Links of nodes
carry what pods of different nodes say to each other.
"""

import math
import re
from typing import Annotated, Any

import typer

from cli.state import StateOption, fail, layout_of, run
from controlplane.local.control import ask
from kvstore.base.durations import parse_duration

_RATE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kKmMgG]?)i?[bB]?(?:/s)?$")
_SHARE = re.compile(r"^([+-]?\d+(?:\.\d+)?)\s*(%?)$")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_MEMBERS = typer.Argument(help="master-1, master-2/store, leader, node-1 …", metavar="NAME…")
_Members = Annotated[list[str], _MEMBERS]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (partition, network, disk, clock, heal):
        app.command()(command)


def partition(
    groups: Annotated[
        list[str] | None,
        typer.Argument(help="Groups of members, e.g. master-1 master-2,master-3", metavar="GROUP…"),
    ] = None,
    isolate: Annotated[
        str | None, typer.Option("--isolate", help="Cut these members off from all others.")
    ] = None,
    oneway: Annotated[
        bool, typer.Option("--oneway", help="Only from the first group to the second.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Let nothing pass between groups of store members, or of nodes; `quorate heal` ends it."""
    named = groups or []
    if (isolate is None) == (not named):
        fail("name groups, such as `quorate partition master-1 master-2,master-3`, or --isolate", 2)
    if isolate is not None:
        named = [isolate]
    elif len(named) == 1:
        fail(f"one group has two sides only with --isolate: say --isolate {named[0]}", 2)
    if oneway and len(named) != 2:
        fail("--oneway takes exactly two groups: from and to", 2)
    _say(run(ask(layout_of(state), "partition", named, options={"one_way": oneway})))


def network(
    names: _Members,
    peer: Annotated[
        str, typer.Option(help="Only between NAME and this member. [default: all members]")
    ] = "",
    to: Annotated[str, typer.Option("--to", help="Only from NAME to this member.")] = "",
    from_: Annotated[str, typer.Option("--from", help="Only from this member to NAME.")] = "",
    delay: Annotated[
        str, typer.Option(help="Every message comes later, e.g. 50ms; a bare number is seconds.")
    ] = "0",
    jitter: Annotated[str, typer.Option(help="And up to this much more, by chance.")] = "0",
    throttle: Annotated[str, typer.Option(help="Bytes a second, e.g. 64k.")] = "0",
    loss: Annotated[str, typer.Option(help="Share of messages lost, e.g. 5% or 0.05.")] = "0",
    cut: Annotated[
        bool, typer.Option("--cut", help="Break connections and refuse new ones.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Make the links of a store member or a node slow, lossy or broken; `quorate heal` ends it."""
    if sum(map(bool, (peer, to, from_))) > 1:
        fail("give one of --peer, --to and --from", 2)
    options = {
        "peer": peer or to or from_,
        "direction": "out" if to else "in" if from_ else "both",
        "delay_seconds": _seconds("--delay", delay),
        "jitter_seconds": _seconds("--jitter", jitter),
        "bytes_per_second": _rate("--throttle", throttle),
        "drop": _share("--loss", loss, 0, 1),
        "cut": cut,
    }
    if not any(options[key] for key in options if key not in ("peer", "direction")):
        fail("say what: --delay, --jitter, --throttle, --loss or --cut", 2)
    _say(run(ask(layout_of(state), "network", names, options=options)))


def disk(
    names: _Members,
    slow_fsync: Annotated[
        str, typer.Option(help="Every fsync takes longer, e.g. 500ms; a bare number is seconds.")
    ] = "0",
    fail_fsync: Annotated[
        bool, typer.Option("--fail-fsync", help="Every fsync fails: the member ends.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="What takes new space fails (ENOSPC).")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="All that writes fails (EROFS).")
    ] = False,
    torn_on_kill: Annotated[
        bool, typer.Option("--torn-on-kill", help="kill -9 tears what was not synced.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Make the disk of a store member slow, full, failing or forgetful; `quorate heal` ends it."""
    options = {
        "slow_fsync_seconds": _seconds("--slow-fsync", slow_fsync),
        "fail_fsync": fail_fsync,
        "full": full,
        "read_only": read_only,
        "torn_on_kill": torn_on_kill,
    }
    if not any(options.values()):
        fail("say what: --slow-fsync, --fail-fsync, --full, --read-only or --torn-on-kill", 2)
    _say(run(ask(layout_of(state), "disk", names, options=options)))


def clock(
    names: _Members,
    skew: Annotated[str, typer.Option(help="The wall clock is off, e.g. 1h or -30s.")] = "0",
    jump: Annotated[str, typer.Option(help="Time leaps now, e.g. 10s.")] = "0",
    drift: Annotated[
        str, typer.Option(help="Clocks run faster or slower, e.g. 10% or -50%.")
    ] = "0",
    state: StateOption = None,
) -> None:
    """Make the clock of a store member wrong, leap or drift; `quorate heal` ends it."""
    options = {
        "skew_seconds": _seconds("--skew", skew),
        "jump_seconds": _seconds("--jump", jump),
        "drift": _share("--drift", drift, -0.9, 9),
    }
    if not any(options.values()):
        fail("say what: --skew, --jump or --drift", 2)
    _say(run(ask(layout_of(state), "clock", names, options=options)))


def heal(
    start: Annotated[
        bool, typer.Option("--start", help="Start what was killed or stopped as well.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Undo every fault: links, disks, clocks; what is paused goes on; what a fault ended starts again."""
    answer = run(ask(layout_of(state), "heal", options={"start": start}))
    for word, key in (("healed", "healed"), ("resumed", "resumed"), ("started", "started")):
        for name in answer[key]:
            typer.echo(f"{name:<24} {word}")
    if answer["not_ready"]:
        fail(f"not ready in time: {', '.join(answer['not_ready'])}")
    if answer["down"]:
        typer.echo(
            f"still down: {', '.join(answer['down'])}; `quorate heal --start` starts them", err=True
        )
    elif not (answer["healed"] or answer["resumed"] or answer["started"]):
        typer.echo("nothing to heal")


def _say(answer: dict[str, Any]) -> None:
    for name, lines in answer["faults"].items():
        for line in lines:
            typer.echo(f"{name:<24} {line}")
    if not answer["faults"]:
        typer.echo("no faults")


def _seconds(option: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)
    if not math.isfinite(seconds):
        fail(f"{option} {text}: expected a finite duration", 2)
    return seconds


def _rate(option: str, text: str) -> int:
    match = _RATE.match(text.strip())
    if match is None:
        fail(f"{option} {text}: expected bytes a second, such as 500, 64k or 1M", 2)
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def _share(option: str, text: str, low: float, high: float) -> float:
    match = _SHARE.match(text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match is not None else math.inf
    if not low <= share <= high:
        fail(
            f"{option} {text}: expected a share from {low:.0%} to {high:.0%}, such as 5% or 0.05", 2
        )
    return share
