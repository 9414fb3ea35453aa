"""What Go's time.Parse says of a text that is no time in a layout: clients show these messages.

The layouts are those of metav1.Time (RFC 3339) and of metav1.MicroTime (the same with six digits of a second).
"""

from __future__ import annotations

import json
import re
from datetime import date

SECONDS = "2006-01-02T15:04:05Z07:00"
MICROSECONDS = "2006-01-02T15:04:05.000000Z07:00"

_ZONE = ("", "Z07:00", "Z|[+-][0-9]{2}:[0-9]{2}")
# What stands before a part, the part as the layout has it, and what it takes.
_PARTS = (
    ("", "2006", "[0-9]{4}"),
    ("-", "01", "[0-9]{2}"),
    ("-", "02", "[0-9]{2}"),
    ("T", "15", "[0-9]{1,2}"),
    (":", "04", "[0-9]{2}"),
    (":", "05", "[0-9]{2}"),
)
_FRACTION = {
    SECONDS: ("", "", "(?:[.,][0-9]+)?"),
    MICROSECONDS: ("", ".000000", "[.,][0-9]{6}"),
}
_RANGES = {
    "01": (1, 12, "month"),
    "15": (0, 23, "hour"),
    "04": (0, 59, "minute"),
    "05": (0, 59, "second"),
}


def problem(text: str, layout: str) -> str:
    """Why `text` is no time in one of the two layouts; empty when it is one."""
    rest, shown = text, json.dumps(text, ensure_ascii=False)
    numbers: dict[str, int] = {}
    for before, part, shape in (*_PARTS, _FRACTION[layout], _ZONE):
        if not rest.startswith(before):
            return _cannot(shown, layout, rest, before)
        rest = rest[len(before) :]
        found = re.match(shape, rest)
        if found is None:
            return _cannot(shown, layout, rest, part)
        rest = rest[found.end() :]
        if found.group().isdigit():
            numbers[part] = int(found.group())
        low, high, name = _RANGES.get(part, (0, 0, ""))
        if name and not low <= numbers[part] <= high:
            return f"parsing time {shown}: {name} out of range"
    if rest:
        return f"parsing time {shown}: extra text: {json.dumps(rest, ensure_ascii=False)}"
    try:
        date(numbers["2006"] or 4, numbers["01"], numbers["02"])
    except ValueError:
        return f"parsing time {shown}: day out of range"
    return ""


def _cannot(shown: str, layout: str, rest: str, part: str) -> str:
    at = json.dumps(rest, ensure_ascii=False)
    return f'parsing time {shown} as "{layout}": cannot parse {at} as "{part}"'
