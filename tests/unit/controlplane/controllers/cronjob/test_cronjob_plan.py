"""When a CronJob fires: lines, zones, summer time, deadlines, policies, missed starts."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from controlplane.controllers.cronjob.plan import due, new_job, observe, surplus
from controlplane.controllers.cronjob.times import most_recent, next_after
from controlplane.kinds.batch.schedule import parse


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("*/15 * * * *", "", "2024-01-01T00:07", "2024-01-01T00:15"),
        ("0 0 1 * *", "", "2024-01-01T00:00", "2024-02-01T00:00"),
        ("0 12 * * mon", "", "2024-01-02T00:00", "2024-01-08T12:00"),
        ("0 0 13 * fri", "", "2024-01-01T00:00", "2024-01-05T00:00"),
        ("0 0 29 2 *", "", "2024-03-01T00:00", "2028-02-29T00:00"),
        ("@every 90s", "", "2024-01-01T00:00", "2024-01-01T00:01:30"),
        ("0 6 * * *", "Europe/Berlin", "2024-07-01T00:00", "2024-07-01T04:00"),
        ("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-04-01T00:30"),
        ("0 0 30 2 *", "", "2024-01-01T00:00", None),
    ],
    ids=["step", "month", "week", "either_day", "leap", "every", "zone", "skipped_hour", "never"],
)
def test_next(line, zone, after, expected):
    found = next_after(parse(line), at(after), zone)
    assert found == (None if expected is None else at(expected))


def test_the_hour_that_comes_twice_fires_twice():
    schedule, zone = parse("30 2 * * *"), "Europe/Berlin"
    first = next_after(schedule, at("2024-10-26T12:00"), zone)
    assert first == at("2024-10-27T00:30")
    assert next_after(schedule, first, zone) == at("2024-10-27T01:30")


@pytest.mark.parametrize(
    ("earliest", "now", "expected", "many"),
    [
        ("2024-01-01T00:00", "2024-01-01T00:00:59", None, False),
        ("2024-01-01T00:00", "2024-01-01T00:01:10", "2024-01-01T00:01", False),
        ("2024-01-01T00:00", "2024-01-01T00:05:10", "2024-01-01T00:05", False),
        ("2023-01-01T00:00", "2024-01-01T00:05:10", "2024-01-01T00:05", True),
    ],
    ids=["not_yet", "one", "some", "a_year"],
)
def test_most_recent(earliest, now, expected, many):
    found = most_recent(parse("* * * * *"), "", at(earliest), at(now))
    assert found == (None if expected is None else at(expected), many)


def cron(status=None, **spec):
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": "c", "namespace": "d", "uid": "cu", "creationTimestamp": "2024-01-01T00:00:00Z",
        },
        "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"x": 1}}, **spec},
        "status": status or {},
    }  # fmt: skip


ACTIVE = {"active": [{"name": "c-1", "uid": "j1"}]}


@pytest.mark.parametrize(
    ("subject", "now", "fires", "reasons"),
    [
        pytest.param(cron(), "2024-01-01T00:04", None, [], id="not_yet"),
        pytest.param(cron(), "2024-01-01T00:06", "2024-01-01T00:05", [], id="due"),
        pytest.param(cron(suspend=True), "2024-01-01T00:06", None, [], id="suspended"),
        pytest.param(
            cron({"lastScheduleTime": "2024-01-01T00:05:00Z"}), "2024-01-01T00:06", None, [], id="done"
        ),
        pytest.param(
            cron(startingDeadlineSeconds=30), "2024-01-01T00:06", None, [], id="past_the_deadline"
        ),
        pytest.param(
            cron(ACTIVE, concurrencyPolicy="Forbid"), "2024-01-01T00:06", None,
            ["JobAlreadyActive"], id="forbid",
        ),
        pytest.param(
            cron(ACTIVE, concurrencyPolicy="Replace"), "2024-01-01T00:06", "2024-01-01T00:05", [],
            id="replace",
        ),
        pytest.param(cron(), "2024-01-03T00:01", "2024-01-03T00:00", ["TooManyMissedTimes"], id="many"),
        pytest.param(cron(timeZone="Mars/X"), "2024-01-01T00:06", None, ["UnknownTimeZone"], id="zone"),
        pytest.param(cron(schedule="x"), "2024-01-01T00:06", None, ["UnparseableSchedule"], id="line"),
    ],
)  # fmt: skip
def test_due(subject, now, fires, reasons):
    result = due(subject, subject["status"], at(now))
    assert result.at == (None if fires is None else at(fires))
    assert [reason for _, reason, _ in result.events] == reasons


def test_the_job_of_a_time():
    made = new_job(cron(), at("2024-01-01T00:05"))
    assert made["metadata"]["name"] == f"c-{int(at('2024-01-01T00:05')) // 60}"
    assert made["metadata"]["annotations"] == {
        "batch.kubernetes.io/cronjob-scheduled-timestamp": "2024-01-01T00:05:00Z"
    }
    local = new_job(cron(timeZone="Europe/Berlin"), at("2024-01-01T00:05"))
    stamp = local["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp == "2024-01-01T01:05:00+01:00"


def job(name, uid, ended="", started="2024-01-01T00:00:00Z"):
    conditions = [{"type": ended, "status": "True"}] if ended else []
    status = {"conditions": conditions, "startTime": started}
    if ended == "Complete":
        status["completionTime"] = "2024-01-01T00:06:00Z"
    return {"metadata": {"name": name, "uid": uid}, "status": status}


def test_finished_jobs_are_struck_off_and_told():
    status, events, missing = observe(cron(ACTIVE), [job("c-1", "j1", "Complete"), job("x", "j2")])
    assert status == {"lastSuccessfulTime": "2024-01-01T00:06:00Z"}
    assert [message for _, _, message in events] == [
        "Saw completed job: c-1, condition: Complete",
        "Saw a job that the controller did not create or forgot: x",
    ]
    assert missing == []


def test_jobs_nobody_sees_are_asked_for():
    assert observe(cron(ACTIVE), [])[2] == ACTIVE["active"]


def test_history_limits():
    subject = cron(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    jobs = [
        job("b", "2", "Complete", "2024-01-02T00:00:00Z"),
        job("a", "1", "Complete", "2024-01-01T00:00:00Z"),
        job("f", "3", "Failed"),
        job("r", "4"),
    ]
    assert [j["metadata"]["name"] for j in surplus(subject, jobs)] == ["a", "f"]
