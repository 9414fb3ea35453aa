"""Jobs over the real API server: the scenes upstream was recorded in, and no Pod counted twice or lost."""

import random

import pytest

from controlplane.api.errors import ServiceUnavailable
from controlplane.api.times import to_rfc3339
from controlplane.controllers.job.plan import FINALIZER
from controlplane.kinds.batch.job.kind import JOBS
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=job"


async def make(world, name="j", **spec):
    template = {"spec": {"containers": [{"name": "c", "image": "a:1"}], "restartPolicy": "Never"}}
    obj = {"metadata": {"name": name}, "spec": {"template": template, **spec}}
    return await world.client.create(JOBS, obj, "d")


def status(world, name="j"):
    return world.api.object(JOBS, name, "d")["status"]


def conditions(world):
    return {
        c["type"]: (c["status"], c["reason"], c["message"])
        for c in status(world).get("conditions", ())
    }


def pods(world):
    return world.api.objects(PODS, "d")


def finish(world, pod, phase="Succeeded", code=0):
    ended = {"exitCode": code, "finishedAt": to_rfc3339(world.clock.time())}
    pod["status"] |= {"phase": phase}
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": ended}}]
    world.api.put(PODS, pod)


def finish_all(world, phase="Succeeded", code=0):
    for pod in pods(world):
        if pod["status"]["phase"] == "Running":
            finish(world, pod, phase, code)


async def test_a_job_completes(make_world):
    async with make_world(ONLY) as world:
        await make(world, completions=3, parallelism=2)
        await world.step(5)
        assert len(pods(world)) == 2
        assert status(world) == {
            "active": 2, "ready": 2, "terminating": 0, "uncountedTerminatedPods": {},
            "startTime": status(world)["startTime"],
        }  # fmt: skip
        assert pods(world)[0]["metadata"]["finalizers"] == [FINALIZER]
        for _ in range(3):
            finish_all(world)
            await world.step(5)
        assert status(world)["succeeded"] == 3
        assert conditions(world) == dict.fromkeys(
            ("SuccessCriteriaMet", "Complete"),
            ("True", "CompletionsReached", "Reached expected number of succeeded pods"),
        )
        assert status(world)["completionTime"]
        assert world.events("Completed") == ["Job completed"]
        assert len(world.events("SuccessfulCreate")) == 3
        assert not any(p["metadata"].get("finalizers") for p in pods(world))


async def test_a_job_gives_up(make_world):
    async with make_world(ONLY) as world:
        await make(world, backoffLimit=1)
        await world.step(5)
        finish_all(world, "Failed", 1)
        await world.step(5)
        assert len(pods(world)) == 1, "the second waits ten seconds"
        await world.step(12, 1)
        assert len(pods(world)) == 2
        finish_all(world, "Failed", 1)
        await world.step(5)
        message = "Job has reached the specified backoff limit"
        assert conditions(world) == dict.fromkeys(
            ("FailureTarget", "Failed"), ("True", "BackoffLimitExceeded", message)
        )
        assert status(world)["failed"] == 2
        assert world.events("BackoffLimitExceeded") == [message]


async def test_a_deadline_ends_what_runs(make_world):
    async with make_world(ONLY) as world:
        await make(world, activeDeadlineSeconds=4)
        await world.step(3)
        await world.step(8, 1)
        assert conditions(world)["Failed"][:2] == ("True", "DeadlineExceeded")
        assert (status(world)["failed"], status(world)["terminating"]) == (1, 0)
        assert pods(world) == []


async def test_suspending_and_resuming(make_world):
    async with make_world(ONLY) as world:
        await make(world, suspend=True)
        await world.step(5)
        assert conditions(world)["Suspended"] == ("True", "JobSuspended", "Job suspended")
        assert pods(world) == []
        assert "startTime" not in status(world)
        await world.client.patch(JOBS, "j", {"spec": {"suspend": False}}, "d")
        await world.step(5)
        assert len(pods(world)) == 1
        assert conditions(world)["Suspended"] == ("False", "JobResumed", "Job resumed")
        await world.client.patch(JOBS, "j", {"spec": {"suspend": True}}, "d")
        await world.step(10)
        assert pods(world) == []
        assert "failed" not in status(world), "a Pod taken away is no failure"
        assert world.events("Resumed") == ["Job resumed"]


async def test_a_deleted_pod_counts_as_failed_and_is_replaced(make_world):
    async with make_world(ONLY) as world:
        await make(world)
        await world.step(5)
        await world.client.delete(PODS, pods(world)[0]["metadata"]["name"], "d")
        await world.step(5)
        assert status(world)["failed"] == 1
        await world.step(12, 1)
        assert len(pods(world)) == 1


async def test_indexed(make_world):
    async with make_world(ONLY) as world:
        await make(world, completions=2, parallelism=2, completionMode="Indexed")
        await world.step(5)
        names = sorted(p["metadata"]["generateName"] for p in pods(world))
        assert names == ["j-0-", "j-1-"]
        finish_all(world)
        await world.step(5)
        assert status(world)["completedIndexes"] == "0,1"
        assert conditions(world)["Complete"][0] == "True"


async def test_pods_of_a_job_that_went_can_go(make_world):
    async with make_world("--controllers=job,garbagecollector") as world:
        await make(world, parallelism=2, completions=2)
        await world.step(5)
        await world.client.delete(JOBS, "j", "d", propagation_policy="Background")
        await world.step(20)
        assert world.api.object(JOBS, "j", "d") is None
        assert pods(world) == []


async def test_foreground_deletion_ends(make_world):
    async with make_world("--controllers=job,garbagecollector") as world:
        await make(world)
        await world.step(5)
        await world.client.delete(JOBS, "j", "d", propagation_policy="Foreground")
        await world.step(30)
        assert pods(world) == []
        assert world.api.object(JOBS, "j", "d") is None


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_interrupted_every_pod_is_counted_once(make_world, seed):
    """Writes fail at random and watches break while Pods end: the sums are right all the same."""
    rng = random.Random(seed)
    async with make_world(ONLY) as world:
        await make(world, completions=12, parallelism=4, backoffLimit=100)
        succeeded = failed = 0

        def disturb(request):
            is_write = request.method in ("PATCH", "PUT", "POST") and "leases" not in request.path
            if is_write and rng.random() < 0.25:
                raise ServiceUnavailable("disturbed")

        for _ in range(200):
            world.api.intercept = disturb if rng.random() < 0.7 else None
            if rng.random() < 0.1:
                world.api.break_watches()
            for pod in pods(world):
                if pod["status"]["phase"] == "Running" and rng.random() < 0.5:
                    if "deletionTimestamp" in pod["metadata"]:
                        continue
                    good = rng.random() < 0.7
                    succeeded, failed = succeeded + good, failed + (not good)
                    finish(world, pod, "Succeeded" if good else "Failed", 0 if good else 1)
            await world.step(2, 1.0)
            if conditions(world).get("Complete"):
                break
            world.api.intercept = None
            await world.step(1, 30.0)
        world.api.intercept = None
        await world.step(20, 1.0)
        assert conditions(world)["Complete"][0] == "True"
        assert (status(world)["succeeded"], status(world).get("failed", 0)) == (succeeded, failed)
        assert not any(p["metadata"].get("finalizers") for p in pods(world))
