"""All checkers on one history, each with the time it took."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kvstore.base.clock import Clock, SystemClock
from kvstore.testing.check import digest, durable, linearizable, locks, watch
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History


def _linearizable(history: History) -> list[Violation]:
    """An order that explains all answers and all watches is the strongest proof, and found soonest.

    Where there is none, the watches may be what is wrong, which `watch` tells: then the answers are judged alone.
    """
    if not linearizable.explain(history, with_watches=True).violations:
        return []
    return linearizable.check(history)


CHECKERS: Mapping[str, Callable[[History], list[Violation]]] = {
    "linearizable": _linearizable,
    "watch": watch.check,
    "durable": durable.check,
    "digest": digest.check,
    "locks": locks.check,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and the seconds that each checker took."""

    violations: list[Violation]
    checked: Mapping[str, float]


def judge(history: History, found: Sequence[Violation] = (), clock: Clock | None = None) -> Verdict:
    """`found` before, and what the checkers find."""
    clock = clock or SystemClock()
    violations, checked = list(found), {}
    for name, check in CHECKERS.items():
        begun = clock.monotonic()
        violations += check(history)
        checked[name] = clock.monotonic() - begun
    return Verdict(violations, checked)
