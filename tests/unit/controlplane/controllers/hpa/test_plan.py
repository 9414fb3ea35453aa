"""Bounds, rates and windows."""

import pytest

from controlplane.controllers.hpa.plan import (
    DOWN_LIMIT,
    DOWN_STABILIZED,
    IN_RANGE,
    READY,
    TOO_FEW,
    TOO_MANY,
    UP_LIMIT,
    UP_STABILIZED,
    History,
    bounded,
)

NOW = 1000.0


def behavior(up=None, down=None):
    """The defaults, with changes."""
    percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    four = {"type": "Pods", "value": 4, "periodSeconds": 15}
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [four, percent],
            **(up or {}),
        },
        "scaleDown": {"selectPolicy": "Max", "policies": [percent], **(down or {})},
    }


def spec(least=1, most=100, **parts):
    """An autoscaler's spec."""
    return {"minReplicas": least, "maxReplicas": most, **parts}


PLAIN = {
    "as_asked": (spec(), 4, 6, [], 6, READY, IN_RANGE),
    "not_above_the_most": (spec(most=5), 4, 6, [], 5, READY, TOO_MANY),
    "not_below_the_least": (spec(least=3), 4, 1, [], 3, READY, TOO_FEW),
    "at_most_doubled": (spec(), 4, 20, [], 8, READY, UP_LIMIT),
    "four_are_always_allowed": (spec(), 1, 20, [], 4, READY, UP_LIMIT),
    "a_higher_count_lately_holds": (spec(), 6, 2, [(NOW - 100, 5)], 5, DOWN_STABILIZED, IN_RANGE),
    "one_of_long_ago_does_not": (spec(), 6, 2, [(NOW - 400, 5)], 2, READY, IN_RANGE),
}


@pytest.mark.parametrize(
    ("wanted", "current", "asked", "before", "count", "able", "limit"), PLAIN.values(), ids=PLAIN
)
def test_without_behavior(wanted, current, asked, before, count, able, limit):
    found = bounded(wanted, current, asked, History(list(before)), NOW, 300.0)
    assert (found.replicas, found.able, found.limit) == (count, able, limit)
    assert found.is_limited == (limit is not IN_RANGE)


def rules(**parts):
    """A spec with behavior."""
    return spec(behavior=behavior(**parts))


SLOW = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}
BEHAVIORS = {
    "up_by_the_larger_of_two_policies": (rules(), 10, 50, History(), 20, READY, UP_LIMIT),
    "up_by_the_smaller": (
        rules(up={"selectPolicy": "Min"}), 10, 50, History(), 14, READY, UP_LIMIT,
    ),
    "up_not_at_all": (
        rules(up={"selectPolicy": "Disabled"}), 10, 50, History(), 10, READY, UP_LIMIT,
    ),
    "up_by_what_the_period_leaves": (
        rules(up=SLOW), 5, 50, History(added=[(NOW - 30, 1)]), 6, READY, UP_LIMIT,
    ),
    "up_again_after_the_period": (
        rules(up=SLOW), 5, 50, History(added=[(NOW - 90, 2)]), 7, READY, UP_LIMIT,
    ),
    "a_small_percentage_is_rounded_up": (
        rules(up={"policies": [{"type": "Percent", "value": 1, "periodSeconds": 60}]}),
        3, 50, History(), 4, READY, UP_LIMIT,
    ),
    "up_waits_for_its_window": (
        rules(up={"stabilizationWindowSeconds": 60}), 5, 9, History([(NOW - 30, 6)]), 6,
        UP_STABILIZED, IN_RANGE,
    ),
    "down_to_the_highest_of_its_window": (
        rules(), 9, 2, History([(NOW - 100, 7)]), 7, DOWN_STABILIZED, IN_RANGE,
    ),
    "down_at_once_with_an_empty_window": (
        rules(down={"stabilizationWindowSeconds": 0}), 9, 2, History([(NOW - 100, 7)]), 2,
        READY, IN_RANGE,
    ),
    "down_by_its_rate": (
        rules(down={**SLOW, "stabilizationWindowSeconds": 0}), 9, 2, History(), 7, READY, DOWN_LIMIT,
    ),
    "down_by_what_the_period_leaves": (
        rules(down={**SLOW, "stabilizationWindowSeconds": 0}), 9, 2,
        History(removed=[(NOW - 10, 2)]), 9, READY, DOWN_LIMIT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "current", "asked", "history", "count", "able", "limit"),
    BEHAVIORS.values(),
    ids=BEHAVIORS,
)
def test_with_behavior(wanted, current, asked, history, count, able, limit):
    found = bounded(wanted, current, asked, history, NOW, 300.0)
    assert (found.replicas, found.able, found.limit) == (count, able, limit)


def test_what_was_asked_is_kept_for_its_window_only():
    history = History([(NOW - 1000, 9)])
    bounded(spec(), 5, 5, history, NOW, 300.0)
    assert history.asked == [(NOW, 5)]
    history.changed(5, 8, NOW, 60.0)
    history.changed(8, 9, NOW + 100, 60.0)
    assert history.added == [(NOW + 100, 1)]
