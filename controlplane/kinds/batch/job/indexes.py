"""Sets of indexes as Jobs write them: `1,3-5`.

Source: pkg/apis/batch/validation/validation.go (validateIndexesFormat and what follows), with its words.
"""

from __future__ import annotations

import re

_INTEGER = re.compile("[+-]?[0-9]+")


def count(text: str, completions: int) -> int:
    """How many indexes the text names; ValueError when it is no increasing list of intervals below `completions`."""
    total = 0
    last: int | None = None
    for part in text.split(",") if text else ():
        low, high = interval(part, completions)
        if last is not None and last >= low:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        total += high - low + 1
        last = high
    return total


def interval(text: str, completions: int) -> tuple[int, int]:
    """The first and last index of one interval; ValueError when it is none."""
    parts = text.split("-")
    if len(parts) > 2:
        raise ValueError(
            f'the fragment "{text}" violates the requirement that an index interval can have at '
            "most two parts separated by '-'"
        )
    low = _index(parts[0], completions)
    if len(parts) == 1:
        return low, low
    high = _index(parts[1], completions)
    if low >= high:
        raise ValueError(f"non-increasing order, previous: {low}, current: {high}")
    return low, high


def _index(text: str, completions: int) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def overlap(left: str, right: str, completions: int) -> int | None:
    """The first index that is in both sets; intervals that are malformed are passed over."""
    found = [
        max(low, other_low)
        for low, high in _intervals(left, completions)
        for other_low, other_high in _intervals(right, completions)
        if low <= other_high and other_low <= high
    ]
    return min(found, default=None)


def _intervals(text: str, completions: int) -> list[tuple[int, int]]:
    found = []
    for part in text.split(",") if text else ():
        try:
            found.append(interval(part, completions))
        except ValueError:
            continue
    return found
