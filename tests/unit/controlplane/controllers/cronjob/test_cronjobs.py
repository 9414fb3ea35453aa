"""CronJobs over the real API server, hours in a moment."""

import pytest

from controlplane.kinds.batch.cron_job import CRON_JOBS
from controlplane.kinds.batch.job.kind import JOBS

ONLY = "--controllers=cronjob"


async def make(world, **spec):
    pod = {"containers": [{"name": "c", "image": "a:1"}], "restartPolicy": "Never"}
    template = {"spec": {"template": {"spec": pod}}}
    spec = {"schedule": "* * * * *", "jobTemplate": template, **spec}
    await world.client.create(CRON_JOBS, {"metadata": {"name": "c"}, "spec": spec}, "d")


def jobs(world):
    return world.api.objects(JOBS, "d")


def finish(world, job):
    done = {"type": "Complete", "status": "True"}
    job["status"] = {"conditions": [done], "completionTime": "2023-11-14T23:00:00Z"}
    world.api.put(JOBS, job)


async def test_a_job_a_minute_and_a_short_history(make_world):
    async with make_world(ONLY) as world:
        await make(world, successfulJobsHistoryLimit=2)
        for _ in range(5):
            await world.step(60, 1)
            for job in jobs(world):
                if not job.get("status", {}).get("conditions"):
                    finish(world, job)
        await world.step(3, 1)
        assert len(world.events("SuccessfulCreate")) in (5, 6)
        assert len(jobs(world)) <= 3
        status = world.api.object(CRON_JOBS, "c", "d")["status"]
        assert status["lastSuccessfulTime"] == "2023-11-14T23:00:00Z"
        assert status["lastScheduleTime"]


@pytest.mark.parametrize(
    ("policy", "running"), [("Allow", 3), ("Forbid", 1), ("Replace", 1)], ids=str
)
async def test_concurrency(make_world, policy, running):
    async with make_world(ONLY) as world:
        await make(world, concurrencyPolicy=policy)
        await world.step(60 * 3, 1)
        assert len(jobs(world)) in ((running, running + 1) if policy == "Allow" else (running,))
        active = world.api.object(CRON_JOBS, "c", "d")["status"]["active"]
        assert {ref["name"] for ref in active} == {j["metadata"]["name"] for j in jobs(world)}


async def test_a_suspended_one_makes_nothing(make_world):
    async with make_world(ONLY) as world:
        await make(world, suspend=True)
        await world.step(40, 3)
        assert jobs(world) == []
