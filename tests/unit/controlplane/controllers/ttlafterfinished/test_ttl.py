"""Finished Jobs go after their time."""

import pytest

from controlplane.api.times import to_rfc3339
from controlplane.controllers.ttlafterfinished.plan import expires_at
from controlplane.kinds.batch.job.kind import JOBS

STAMP = "2023-11-14T22:13:20Z"
NOW = 1_700_000_000.0
DONE = {"type": "Complete", "status": "True", "lastTransitionTime": STAMP}


@pytest.mark.parametrize(
    ("spec", "conditions", "expected"),
    [
        ({"ttlSecondsAfterFinished": 5}, [DONE], NOW + 5),
        ({"ttlSecondsAfterFinished": 0}, [{**DONE, "type": "Failed"}], NOW),
        ({"ttlSecondsAfterFinished": 5}, [], None),
        ({"ttlSecondsAfterFinished": 5}, [{**DONE, "type": "Suspended"}], None),
        ({}, [DONE], None),
    ],
    ids=["complete", "failed_at_once", "running", "suspended", "no_limit"],
)
def test_when_a_job_expires(spec, conditions, expected):
    job = {"metadata": {"name": "j"}, "spec": spec, "status": {"conditions": conditions}}
    assert expires_at(job) == expected


async def test_a_job_goes_in_its_time_and_not_before(make_world):
    async with make_world("--controllers=ttl-after-finished,garbagecollector") as world:
        pod = {"containers": [{"name": "c", "image": "a:1"}], "restartPolicy": "Never"}
        spec = {"template": {"spec": pod}, "ttlSecondsAfterFinished": 30}
        job = await world.client.create(JOBS, {"metadata": {"name": "j"}, "spec": spec}, "d")
        await world.step(20, 3)
        assert world.api.object(JOBS, "j", "d") is not None
        stamp = to_rfc3339(world.clock.time())
        job["status"] = {"conditions": [{**DONE, "lastTransitionTime": stamp}]}
        world.api.put(JOBS, job)
        await world.step(9, 3)
        assert world.api.object(JOBS, "j", "d") is not None
        await world.step(10, 1)
        assert world.api.object(JOBS, "j", "d") is None
