"""Which runtime a node takes."""

from pathlib import Path

import pytest

from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.registry import (
    AUTO,
    NoRuntimeError,
    Offer,
    RuntimeOptions,
    choose,
)
from kvstore.base.clock import ManualClock

OPTIONS = RuntimeOptions(Path("/nowhere"), ManualClock(), {})


def offer(name: str, refusal: str = "") -> Offer:
    def build(options: RuntimeOptions) -> FakeRuntime:
        made = FakeRuntime(options.clock)
        made.name = name
        return made

    return Offer(name, lambda options: refusal, build)


def test_auto_takes_the_first_that_works_and_says_what_the_others_lack() -> None:
    offers = [offer("best", "no namespaces; set x"), offer("good"), offer("last")]
    choice = choose(AUTO, OPTIONS, offers)
    assert choice.runtime.name == "good"
    assert choice.refusals == {"best": "no namespaces; set x"}


def test_a_name_is_an_order() -> None:
    assert choose("last", OPTIONS, [offer("good"), offer("last")]).runtime.name == "last"
    with pytest.raises(NoRuntimeError, match="best: no namespaces"):
        choose("best", OPTIONS, [offer("best", "no namespaces"), offer("good")])
    with pytest.raises(NoRuntimeError, match=r"unknown container runtime 'docker'.* auto, good"):
        choose("docker", OPTIONS, [offer("good")])
