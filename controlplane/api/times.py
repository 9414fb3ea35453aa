"""RFC 3339 as metav1.Time (seconds) and metav1.MicroTime (microseconds), and kubectl's ages.

Instants are seconds since the epoch as floats, from the caller's clock; nothing here reads one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)"
)
_NUMBER, _UNIT = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)", r"(?:ns|us|µs|μs|ms|s|m|h)"
_GO_DURATION_PART = re.compile(f"({_NUMBER})({_UNIT})")
_GO_DURATION = re.compile(f"([-+]?)((?:{_NUMBER}{_UNIT})+|0)")
_GO_DURATION_START = re.compile(f"[+-]?(?:{_NUMBER}{_UNIT})*{_NUMBER}")
_GO_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def to_rfc3339(seconds: float) -> str:
    """`2006-01-02T15:04:05Z`: fractions are cut."""
    return f"{_to_the_second(int(seconds))}Z"


def to_micro(seconds: float) -> str:
    """`2006-01-02T15:04:05.000000Z`."""
    micros = round(seconds * 1_000_000)
    whole, rest = divmod(micros, 1_000_000)
    return f"{_to_the_second(whole)}.{rest:06d}Z"


def _to_the_second(seconds: int) -> str:
    # strftime does not fill years below 1000, and Go's zero time is of the year 1.
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def parse(text: str) -> float:
    """Seconds since the epoch of any RFC 3339 text; ValueError when it is not one."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00"')
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    if found.group(7):
        moment += float("0." + found.group(7))
    zone = found.group(8)
    if zone not in ("Z", "z"):
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        moment -= offset if zone[0] == "+" else -offset
    return moment


def parse_or_none(text: object) -> float | None:
    """Same, None for what is missing or malformed."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return parse(text)
    except ValueError:
        return None


def human_duration(seconds: float) -> str:
    """A length in the two units a reader cares for: `5s`, `3m20s`, `4h10m`, `2d3h`, `10d`.

    Thresholds are those of apimachinery's duration.HumanDuration, which scripts parse.
    """
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 60 * 2:
        return f"{total}s"
    minutes = total // 60
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 60 * 3:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 24 * 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    if days < 365 * 8:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def age(timestamp: object, now: float) -> str:
    """The age of a timestamp as a table shows it; `<unknown>` when it is missing."""
    moment = parse_or_none(timestamp)
    return "<unknown>" if moment is None else human_duration(now - moment)


def _duration_problem(text: str) -> str:
    """What Go says of a duration that it cannot read: numbers in order, but a unit that is none or is not there."""
    begins = _GO_DURATION_START.match(text)
    if begins is None:
        return f'invalid duration "{text}"'
    unit = re.match(r"[^0-9.]*", text[begins.end() :])
    if not unit or not unit.group():
        return f'missing unit in duration "{text}"'
    return f'unknown unit "{unit.group()}" in duration "{text}"'


def parse_go_duration(text: str) -> float:
    """Seconds of `1h5m` or `-1.5s`, as Go's time.ParseDuration reads them; ValueError in its words."""
    match = _GO_DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"time: {_duration_problem(text)}")
    parts = _GO_DURATION_PART.findall(match.group(2))
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    return -seconds if match.group(1) == "-" else seconds
