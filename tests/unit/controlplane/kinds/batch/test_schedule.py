"""Cron lines: what they mean and what is wrong with them, in the words that kubectl shows."""

import pytest

from controlplane.kinds.batch.schedule import parse, problem_of, zone_problem

BAD = [
    ("", "empty spec string"),
    ("a b", "expected exactly 5 fields, found 2: [a b]"),
    ("60 * * * *", "end of range (60) above maximum (59): 60"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("*/2/3 * * * *", "too many slashes: */2/3"),
    ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ("-5 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
    ("@nightly", "unrecognized descriptor: @nightly"),
    ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
    ("TZ=Nowhere/X 0 0 * * *", "provided bad location Nowhere/X: unknown time zone Nowhere/X"),
    ("TZ=0", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
]


@pytest.mark.parametrize(("line", "problem"), BAD)
def test_a_bad_line_is_named(line, problem):
    assert problem_of(line) == problem


def test_lists_ranges_steps_and_names():
    schedule = parse("1,5-7,50/5 */6 ? jan-mar,DEC mon-fri")
    assert schedule.minutes == {1, 5, 6, 7, 50, 55}
    assert schedule.hours == {0, 6, 12, 18}
    assert schedule.months == {1, 2, 3, 12}
    assert schedule.days_of_week == {1, 2, 3, 4, 5}
    assert schedule.is_any_day_of_month
    assert not schedule.is_any_day_of_week


def test_descriptors_and_intervals():
    assert parse("@weekly") == parse("0 0 * * 0")
    assert parse("@every 1h30m").every_seconds == 5400
    assert parse("@every 10ms").every_seconds == 1
    assert parse("CRON_TZ=UTC @daily").zone == "UTC"


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("UTC", ""),
        ("", "timeZone must be nil or non-empty string"),
        ("a//b", "unknown time zone a//b"),
        ("../etc", "unknown time zone ../etc"),
        ("-x", "unknown time zone -x"),
        (
            "local",
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ),
    ],
)
def test_time_zones_by_name(zone, problem):
    assert zone_problem(zone) == problem
