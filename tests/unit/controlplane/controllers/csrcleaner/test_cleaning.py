"""Requests for certificates that are of no more use are deleted."""

import pytest

from controlplane.api import times
from controlplane.controllers.csrcleaner.plan import is_over
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS as REQUESTS,
)


def decided(kind, at, **status):
    return {"conditions": [{"type": kind, "lastUpdateTime": times.to_rfc3339(at)}], **status}


HOUR = 3600.0


@pytest.mark.parametrize(
    ("status", "now", "over"),
    [
        ({}, 23 * HOUR, False),
        ({}, 25 * HOUR, True),
        (decided("Denied", 0), 0.9 * HOUR, False),
        (decided("Denied", 0), 1.1 * HOUR, True),
        (decided("Failed", 0), 1.1 * HOUR, True),
        (decided("Approved", 0), 1.1 * HOUR, False),
        (decided("Approved", 0), 25 * HOUR, True),
        (decided("Approved", 0, certificate="eA=="), 1.1 * HOUR, True),
    ],
)
def test_when_a_request_is_over(status, now, over):
    one = {"metadata": {"creationTimestamp": times.to_rfc3339(0)}, "status": status}
    assert is_over(one, now) is over


async def test_a_request_that_nobody_answered_for_a_day_goes_and_a_new_one_stays(make_world):
    async with make_world("--controllers=csrcleaner") as world:
        for name, age in (("old", 25 * HOUR), ("new", HOUR)):
            stamp = times.to_rfc3339(world.clock.time() - age)
            world.api.put(REQUESTS, {"metadata": {"name": name, "creationTimestamp": stamp}})
        await world.step(5)
        assert [one["metadata"]["name"] for one in world.api.objects(REQUESTS)] == ["new"]
