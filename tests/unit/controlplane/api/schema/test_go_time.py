"""Texts that are no times, and what Go's time.Parse says of them."""

import pytest

from controlplane.api.schema import go_time

SECONDS, MICROS = go_time.SECONDS, go_time.MICROSECONDS


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("2020-01-01T00:00:00Z", SECONDS),
        ("2020-01-01T00:00:00.5+02:00", SECONDS),
        ("2020-02-29T23:59:59Z", SECONDS),
        ("2020-01-01T00:00:00.000000Z", MICROS),
        ("2020-01-01T00:00:00.123456-07:00", MICROS),
    ],
)
def test_times(text, layout):
    assert go_time.problem(text, layout) == ""


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ("2020-01-01T00:00:00Zx", SECONDS, ': extra text: "x"'),
        ("yesterday", SECONDS, f' as "{SECONDS}": cannot parse "yesterday" as "2006"'),
        ("", SECONDS, f' as "{SECONDS}": cannot parse "" as "2006"'),
        ("2020-1-01T00:00:00Z", SECONDS, f' as "{SECONDS}": cannot parse "1-01T00:00:00Z" as "01"'),
        ("2020-01-01 00:00:00Z", SECONDS, f' as "{SECONDS}": cannot parse " 00:00:00Z" as "T"'),
        ("2020-13-01T00:00:00Z", SECONDS, ": month out of range"),
        ("2020-02-30T00:00:00Z", SECONDS, ": day out of range"),
        ("2020-01-01T00:00:00Z", MICROS, f' as "{MICROS}": cannot parse "Z" as ".000000"'),
        ("2020-01-01T00:00:00.1234567Z", MICROS, f' as "{MICROS}": cannot parse "7Z" as "Z07:00"'),
    ],
)
def test_texts_that_are_none(text, layout, said):
    assert go_time.problem(text, layout) == f'parsing time "{text}"{said}'
