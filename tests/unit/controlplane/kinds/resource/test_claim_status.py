"""What a scheduler and drivers write into the status of a claim."""

import copy

import pytest

from controlplane.kinds.resource.resource_claim import KIND

CLAIM = {
    "metadata": {"name": "c", "namespace": "d"},
    "spec": {
        "devices": {
            "requests": [
                {"name": "r", "exactly": {"deviceClassName": "a"}},
                {"name": "f", "firstAvailable": [{"name": "s", "deviceClassName": "a"}]},
            ]
        }
    },
    "status": {},
}
RESULT = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "gpu0"}
ALLOCATION = {"devices": {"results": [RESULT]}}
USER = {"resource": "pods", "name": "p", "uid": "u"}
DEVICE = {"driver": "d.example.com", "pool": "p", "device": "gpu0"}


def _refusals(status, old_status=None, **metadata):
    new, old = copy.deepcopy(CLAIM), copy.deepcopy(CLAIM)
    new["metadata"].update(metadata)
    new["status"], old["status"] = status, old_status or {}
    return [f"{cause.field}: {cause.message}" for cause in KIND.validate_status(new, old)]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"allocation": ALLOCATION}, id="allocated"),
        pytest.param({"allocation": ALLOCATION, "reservedFor": [USER]}, id="reserved"),
        pytest.param(
            {"allocation": {"devices": {"results": [{**RESULT, "request": "f/s"}]}}},
            id="an-alternative",
        ),
        pytest.param(
            {
                "allocation": ALLOCATION,
                "devices": [{**DEVICE, "data": {}, "networkData": {"ips": ["10.0.0.1/24"]}}],
            },
            id="device",
        ),
    ],
)
def test_statuses_that_pass(status) -> None:
    assert _refusals(status) == []


@pytest.mark.parametrize(
    ("status", "causes"),
    [
        pytest.param(
            {"reservedFor": [USER]},
            [
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
            ],
            id="reserved-without-devices",
        ),
        pytest.param(
            {"allocation": ALLOCATION, "reservedFor": [USER, {**USER, "name": ""}]},
            [
                "status.reservedFor[1].name: Required value",
                'status.reservedFor[1]: Duplicate value: "u"',
            ],
            id="users",
        ),
        pytest.param(
            {"allocation": {"devices": {"results": [{**RESULT, "request": "x"}]}}},
            [
                'status.allocation.devices.results[0].request: Invalid value: "x": must be the name of a request '
                "in the claim or the name of a request and a subrequest separated by '/'",
            ],
            id="unknown-request",
        ),
        pytest.param(
            {
                "allocation": {
                    "devices": {
                        "results": [RESULT],
                        "config": [{"source": "Nowhere", "opaque": {"driver": "d.example.com"}}],
                    }
                }
            },
            [
                'status.allocation.devices.config[0].source: Unsupported value: "Nowhere": '
                'supported values: "FromClaim", "FromClass"',
                "status.allocation.devices.config[0].opaque.parameters: Required value",
            ],
            id="config",
        ),
        pytest.param(
            {"allocation": ALLOCATION, "devices": [{**DEVICE, "device": "gpu1"}]},
            [
                'status.devices[0]: Invalid value: "d.example.com/p/gpu1": must be an allocated device in the claim',
            ],
            id="device-of-others",
        ),
        pytest.param(
            {
                "allocation": ALLOCATION,
                "devices": [{**DEVICE, "data": "x", "networkData": {"ips": ["::1/0128", "x"]}}],
            },
            [
                'status.devices[0].data: Invalid value: "<value omitted>": must be a valid JSON object',
                'status.devices[0].networkData.ips[0]: Invalid value: "::1/0128": must be in canonical form '
                '("::1/128")',
                'status.devices[0].networkData.ips[1]: Invalid value: "x": must be a valid address in CIDR form, '
                "(e.g. 10.9.8.7/24 or 2001:db8::1/64)",
            ],
            id="device-data",
        ),
    ],
)
def test_statuses_that_are_refused(status, causes) -> None:
    assert _refusals(status) == causes


def test_an_allocation_stays_as_it_is() -> None:
    other = {"devices": {"results": [{**RESULT, "device": "gpu1"}]}}
    (cause,) = _refusals({"allocation": other}, {"allocation": ALLOCATION})
    assert cause.startswith("status.allocation: Invalid value: ")
    assert cause.endswith("field is immutable")


def test_a_claim_that_goes_gets_no_new_users() -> None:
    old = {"allocation": ALLOCATION}
    (cause,) = _refusals(
        {**old, "reservedFor": [USER]}, old, deletionTimestamp="2026-01-01T00:00:00Z"
    )
    assert cause.startswith("status.reservedFor: Forbidden: new entries may not be added")


def test_what_drivers_said_goes_with_the_devices() -> None:
    live = {**CLAIM, "status": {"allocation": ALLOCATION, "devices": [DEVICE]}}
    new = {**copy.deepcopy(CLAIM), "status": {"devices": [dict(DEVICE)]}}
    KIND.strategy(KIND.resource).prepare_for_status_update(new, live)
    assert new["status"]["devices"] == []
