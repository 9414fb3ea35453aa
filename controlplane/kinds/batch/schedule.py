"""Cron lines as CronJobs have them: parsed, with upstream's words for what is wrong.

Source: github.com/robfig/cron/v3 (ParseStandard), which upstream uses: five fields with names, lists, ranges and steps,
`?` as another `*`, the descriptors `@hourly` ... and `@every 1h30m`. `N/step` means from N to the end. A line may
begin with `TZ=` or `CRON_TZ=`; kinds/batch/cron_job.py refuses that in new objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from controlplane.api import times

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")
_MAX_INT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a line fires: at each minute whose parts are in all sets, or every so many seconds.

    With both days restricted (neither is a star), one of them being right is enough, as in all crons.
    `every_seconds` above 0 stands for `@every`; the sets are empty then. `zone` is empty without a `TZ=`.
    """

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days_of_month: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    days_of_week: frozenset[int] = frozenset()
    is_any_day_of_month: bool = False
    is_any_day_of_week: bool = False
    every_seconds: int = 0
    zone: str = ""


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        low = text.lower()
        if low in self.names:
            return self.names.index(low) + self.low
        return _number(text)


_BOUNDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, _MONTHS),
    _Bounds(0, 6, _DAYS),
)


def parse(line: str) -> Schedule:
    """The schedule of a line; ValueError with upstream's words when it is none."""
    if not line:
        raise ValueError("empty spec string")
    zone = ""
    if line.startswith(("TZ=", "CRON_TZ=")):
        given, space, line = line.partition(" ")
        if not space:
            raise ValueError(
                "invalid schedule format: runtime error: slice bounds out of range [:-1]"
            )
        zone = given.partition("=")[2]
        if zone and not is_zone(zone):
            raise ValueError(f"provided bad location {zone}: unknown time zone {zone}")
        line = line.strip()
    if line.startswith(_EVERY):
        return Schedule(every_seconds=_every(line), zone=zone)
    if line.startswith("@"):
        if line not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {line}")
        line = _DESCRIPTORS[line]
    parts = line.split()
    if len(parts) != len(_BOUNDS):
        found = " ".join(parts)
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{found}]")
    minutes, hours, days, months, weekdays = (
        _field(part, bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)
    )
    return Schedule(
        minutes[0],
        hours[0],
        days[0],
        months[0],
        weekdays[0],
        is_any_day_of_month=days[1],
        is_any_day_of_week=weekdays[1],
        zone=zone,
    )


def problem_of(line: str) -> str:
    """What is wrong with a line; empty when it is good."""
    try:
        parse(line)
    except ValueError as error:
        return str(error)
    return ""


def _field(text: str, bounds: _Bounds) -> tuple[frozenset[int], bool]:
    numbers: set[int] = set()
    is_star = False
    for part in text.split(","):
        if part:
            found, is_any = _range(part, bounds)
            numbers |= found
            is_star = is_star or is_any
    return frozenset(numbers), is_star


def _range(text: str, bounds: _Bounds) -> tuple[set[int], bool]:
    span, *steps = text.split("/")
    ends = span.split("-")
    is_star = ends[0] in ("*", "?")
    if is_star:
        start, end = bounds.low, bounds.high
    else:
        start = bounds.number(ends[0])
        if len(ends) > 2:
            raise ValueError(f"too many hyphens: {text}")
        end = bounds.number(ends[1]) if len(ends) == 2 else start
    step = 1
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    if steps:
        step = _number(steps[0])
        if len(ends) == 1:
            end = bounds.high
        is_star = is_star and step <= 1
    if start < bounds.low:
        raise ValueError(f"beginning of range ({start}) below minimum ({bounds.low}): {text}")
    if end > bounds.high:
        raise ValueError(f"end of range ({end}) above maximum ({bounds.high}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), is_star


def _number(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ValueError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
        )
    number = int(text)
    if abs(number) > _MAX_INT:
        raise ValueError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range'
        )
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number


def _every(line: str) -> int:
    """The seconds of `@every <Go duration>`, at least 1 and without fractions."""
    text = line.removeprefix(_EVERY)
    try:
        return max(1, int(times.parse_go_duration(text)))
    except ValueError as error:
        raise ValueError(f"failed to parse duration {line}: {error}") from None


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Whether the machine's time zone data, or the package tzdata, knows the name; UTC is always known."""
    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return True


def zone_problem(name: str) -> str:
    """What is wrong with spec.timeZone; empty when it is good."""
    if not name:
        return "timeZone must be nil or non-empty string"
    for part in name.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return f"unknown time zone {name}"
    if name.lower() == "local":
        return (
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
    return "" if is_zone(name) else f"unknown time zone {name}"
