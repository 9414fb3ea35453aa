"""Settings files: every mistake at once, with its place, value and what was expected."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from kvstore.base.durations import parse_duration
from kvstore.base.settings import SettingsError, load, parse


class Part(msgspec.Struct, frozen=True):
    name: str
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class Whole(msgspec.Struct, frozen=True):
    parts: tuple[Part, ...]
    ratio: float = 1.0
    named: dict[str, Part] = {}

    def __post_init__(self) -> None:
        if self.ratio > len(self.parts):
            raise ValueError("ratio must not exceed the number of parts")


def problems(text: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        parse(text, Whole, source="x.toml")
    return {problem.path: problem.expected for problem in caught.value.problems}


def test_a_good_file_becomes_the_struct() -> None:
    text = 'ratio = 1.0\n[[parts]]\nname = "a"\nport = 1\n[named.b]\nname = "c"\n'
    assert parse(text, Whole, source="x") == Whole((Part("a", 1),), 1.0, {"b": Part("c")})


def test_all_mistakes_are_named_at_once() -> None:
    found = problems('ratio = "x"\nextra = 1\n[[parts]]\nport = 70000\n[named.b]\nname = 3\n')
    assert set(found) == {"ratio", "extra", "parts[0].name", "parts[0].port", "named.b.name"}
    assert "one of named, parts, ratio" in found["extra"]


def test_the_message_holds_file_key_value_and_expectation() -> None:
    with pytest.raises(
        SettingsError, match=r"x\.toml: 1 mistake\n  parts\[0\]\.port = 70000: expected"
    ):
        parse('[[parts]]\nname = "a"\nport = 70000\n', Whole, source="x.toml")


def test_relations_between_fields_are_checked() -> None:
    assert problems('ratio = 9.0\n[[parts]]\nname = "a"\n') == {
        "(file)": "ratio must not exceed the number of parts"
    }


@pytest.mark.parametrize("text", ["parts = [", "= 1", "parts = 3"])
def test_what_is_not_toml_or_not_a_table_is_refused(text: str) -> None:
    assert problems(text)


def test_a_missing_file_is_one_clear_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.toml", Whole)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("1h5m", 3900.0),
        ("1.5s", 1.5),
        ("5", 5.0),
        ("-2s", -2.0),
        ("0", 0.0),
        ("10us", 1e-5),
    ],
)
def test_durations_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "1h 5m", "ms5"])
def test_a_bad_duration_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid duration|could not convert"):
        parse_duration(text)
