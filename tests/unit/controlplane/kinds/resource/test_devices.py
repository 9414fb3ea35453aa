"""Devices of slices: what they may offer, and how much of it at once."""

import pytest

from controlplane.kinds.resource.resource_slice.capacity import validate_capacity
from controlplane.kinds.resource.resource_slice.devices import validate_device
from controlplane.kinds.resource.resource_slice.kind import KIND

NODES = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to "
    "true in the ResourceSlice spec"
)


def _told(causes):
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    ("fields", "causes"),
    [
        pytest.param({"attributes": {"a": {"version": "1.2.3-alpha.1+b"}}}, [], id="version"),
        pytest.param({"attributes": {"x.example.com/a": {"strings": ["b"]}}}, [], id="texts"),
        pytest.param(
            {"attributes": {"a": {"version": "1.2"}}},
            [
                'd.attributes[a].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0'
            ],
            id="no-version",
        ),
        pytest.param(
            {"attributes": {"a": {"int": 1, "bool": True}}},
            [
                'd.attributes[a]: Invalid value: {"int":1,"bool":true}: exactly one value must be specified'
            ],
            id="two-values",
        ),
        pytest.param(
            {"attributes": {"/a": {"int": 1}}},
            ['d.attributes: Invalid value: "": the domain must not be empty'],
            id="no-domain",
        ),
        pytest.param(
            {"attributes": {f"a{n}": {"int": 1} for n in range(33)}},
            [
                "d: Invalid value: 33: the total number of attributes and capacities must not exceed 32"
            ],
            id="too-many",
        ),
        pytest.param(
            {"consumesCounters": [{"counterSet": "", "counters": {}}]},
            [
                "d.consumesCounters[0].counterSet: Required value",
                "d.consumesCounters[0].counters: Required value",
            ],
            id="counters",
        ),
        pytest.param(
            {"allNodes": True},
            [
                "d: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if "
                "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"
            ],
            id="nodes",
        ),
        pytest.param(
            {"bindingConditions": ["a", "a"]},
            [
                'd.bindingConditions[1]: Duplicate value: "a"',
                "d.bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use "
                "bindingConditions",
            ],
            id="binding-conditions",
        ),
    ],
)
def test_what_is_said_of_a_device(fields, causes) -> None:
    found = validate_device("d", {"name": "gpu", **fields}, None, selects_nodes=False)
    assert _told(found) == causes


@pytest.mark.parametrize(
    ("fields", "causes"),
    [
        pytest.param({"allNodes": True}, [], id="all"),
        pytest.param({}, [f"d: Required value: {NODES}"], id="none"),
        pytest.param(
            {"allNodes": True, "nodeName": "n"},
            [f'd: Invalid value: "{{`nodeName`, `allNodes`}}": {NODES}'],
            id="two",
        ),
    ],
)
def test_nodes_of_a_device_that_says_them_itself(fields, causes) -> None:
    assert (
        _told(validate_device("d", {"name": "gpu", **fields}, None, selects_nodes=True)) == causes
    )


@pytest.mark.parametrize(
    ("policy", "causes"),
    [
        pytest.param({"default": "1", "validValues": ["1", "2"]}, [], id="values"),
        pytest.param(
            {"default": "3", "validValues": ["2", "1", "20"]},
            [
                'c.requestPolicy.validValues[1]: Invalid value: "1": values must be sorted in ascending order',
                'c.requestPolicy.validValues[2]: Invalid value: "20": option is larger than capacity value: 10',
                'c.requestPolicy.validValues: Invalid value: "3": default value is not valid according to the '
                "requestPolicy",
            ],
            id="bad-values",
        ),
        pytest.param(
            {"validValues": ["1"]},
            ["c.requestPolicy.default: Required value: required when validValues is defined"],
            id="no-default",
        ),
        pytest.param(
            {"default": "4", "validRange": {"min": "2", "max": "8", "step": "2"}}, [], id="range"
        ),
        pytest.param(
            {"default": "5", "validRange": {"min": "2", "max": "20", "step": "2"}},
            [
                'c.requestPolicy.validRange.max: Invalid value: "20": max is larger than capacity value: 10',
                'c.requestPolicy.validRange.step: Invalid value: "5": value is not a multiple of a given step (2) from '
                "(2)",
            ],
            id="bad-range",
        ),
    ],
)
def test_how_much_may_be_asked_for(policy, causes) -> None:
    row = {"value": "10", "requestPolicy": policy}
    assert _told(validate_capacity("c", row, is_shared=True)) == causes
    assert _told(validate_capacity("c", row, is_shared=False)) == [
        "c.requestPolicy: Forbidden: allowMultipleAllocations must be true"
    ]


def test_new_taints_get_the_time_of_the_write() -> None:
    old_taint = {"key": "a", "effect": "None", "timeAdded": "2026-01-01T00:00:00Z"}
    live = {"metadata": {}, "spec": {"devices": [{"taints": [dict(old_taint)]}]}}
    new = {
        "metadata": {
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"time": "2026-02-01T00:00:00Z"}, {"time": "2026-01-02T00:00:00Z"}],
        },
        "spec": {"devices": [{"taints": [dict(old_taint), {"key": "b", "effect": "None"}]}]},
    }
    KIND.strategy(KIND.resource).prepare_for_update(new, live)
    times = [taint["timeAdded"] for taint in new["spec"]["devices"][0]["taints"]]
    assert times == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
