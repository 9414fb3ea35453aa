"""Flags are derived from the fields of dataclasses, one way for all programs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pytest

from controlplane.controllers.config import ControllersConfig, parse_arguments
from controlplane.controllers.nodelifecycle.reconciler import NodeLifecycleOptions
from controlplane.program.leading import LeadingConfig
from controlplane.program.options import (
    Address,
    OptionError,
    flags_of,
    option,
    parse_options,
)


@dataclass(frozen=True, slots=True)
class Inner:
    level: Literal["low", "high"] = option("low", "how much")


@dataclass(frozen=True, slots=True)
class Everything:
    inner: Inner
    name: str = option("x", "a text")
    wait_seconds: float = option(1.5, "a duration")
    keep_seconds: int = option(300, "a number of seconds")
    rate: float = option(0.1, "a number")
    is_on: bool = option(True, "a switch", flag="--on")
    words: tuple[str, ...] = option(("*",), "a list")
    where: Address | None = option(None, "an address")
    labels: Mapping[str, str] = option({}, "pairs")

    def problems(self) -> list[str]:
        return ["--rate and --keep-seconds disagree"] if self.rate > self.keep_seconds else []


@dataclass(frozen=True, slots=True)
class Needed:
    kubeconfig: str = option(help="a file")


def parse(*arguments, classes=(Everything,), **kwargs):
    return parse_options("program", "Does things.", classes, arguments, **kwargs)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        pytest.param([], "wait_seconds", 1.5, id="default"),
        pytest.param(["--name", "y"], "name", "y", id="text"),
        pytest.param(["--name="], "name", "", id="empty_text"),
        pytest.param(["--wait=1m30s"], "wait_seconds", 90.0, id="duration_without_unit_in_flag"),
        pytest.param(["--keep-seconds=7"], "keep_seconds", 7, id="whole_number_keeps_its_name"),
        pytest.param(["--keep_seconds=7"], "keep_seconds", 7, id="underscores_as_in_go"),
        pytest.param(["--rate", "2"], "rate", 2.0, id="number"),
        pytest.param(["--on=false"], "is_on", False, id="switch_off"),
        pytest.param(["--on"], "is_on", True, id="bare_switch"),
        pytest.param(["--words=a,b", "--words", "c"], "words", ("a", "b", "c"), id="list_adds"),
        pytest.param(["--where=[::1]:80"], "where", Address("::1", 80), id="address"),
        pytest.param(["--where=:80"], "where", Address("0.0.0.0", 80), id="address_without_host"),
        pytest.param(["--labels=a=1,b=2", "--labels=a=3"], "labels", {"a": "3", "b": "2"}, id="pairs"),
        pytest.param(["--name=a", "--name=b"], "name", "b", id="the_last_counts"),
    ],
)  # fmt: skip
def test_what_a_flag_means(arguments, field, value):
    assert getattr(parse(*arguments).of(Everything), field) == value


def test_fields_of_a_part_are_flags_too():
    assert parse("--level=high").of(Everything).inner == Inner("high")


def test_defaults_can_differ_from_program_to_program():
    found = parse(defaults={"where": Address("127.0.0.1", 1)}).of(Everything)
    assert found.where == Address("127.0.0.1", 1)


def test_all_that_is_wrong_is_said_at_once():
    wrong = ["--wait=soon", "--keep-seconds=1.5", "--rate=x", "--on=perhaps", "--where=80",
             "--labels=a", "--level=middle"]  # fmt: skip
    with pytest.raises(OptionError) as caught:
        parse(*wrong, classes=(Everything, Needed))
    assert caught.value.problems == (
        "--level: 'middle' is none of low, high",
        "--wait: invalid duration 'soon': expected a form like 300ms, 1.5s or 1h5m",
        "--keep-seconds: '1.5' is not a whole number",
        "--rate: 'x' is not a number",
        "--on: 'perhaps' is neither true nor false",
        "--where: '80' is not HOST:PORT",
        "--labels: 'a' is not NAME=VALUE",
        "--kubeconfig is required",
    )


def test_rules_over_several_fields_are_checked():
    with pytest.raises(OptionError, match="disagree"):
        parse("--rate=5", "--keep-seconds=1")


@pytest.mark.parametrize("argument", ["--nope", "--nam=x", "stray"])
def test_what_is_not_known_is_refused(argument):
    with pytest.raises(OptionError):
        parse(argument)


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in flags_of(Everything))
    assert len(flags_of(Everything)) == len(fields(Everything))


def test_the_controllers_know_upstreams_flags():
    options = parse_arguments(
        [
            "--kubeconfig=k",
            "--controllers=*,-deployment",
            "--node-monitor-grace-period=20s",
            "--terminated-pod-gc-threshold=5",
            "--concurrent-gc-syncs=3",
            "--leader-elect-lease-duration=30s",
        ]
    )
    assert options.of(NodeLifecycleOptions).node_monitor_grace_period_seconds == 20.0
    assert options.of(LeadingConfig).lease_duration_seconds == 30.0
    assert options.of(LeadingConfig).health_address == Address("127.0.0.1", 10257)
    running = [d.name for d in options.of(ControllersConfig).chosen()]
    assert "deployment-controller" not in running
    assert "replicaset-controller" in running


def test_unknown_controllers_are_refused():
    with pytest.raises(OptionError, match='--controllers: "nope" is not in the list'):
        parse_arguments(["--kubeconfig=k", "--controllers=*,nope"])
