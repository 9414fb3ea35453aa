"""Where log lines go, and that a program never ends for one."""

import io
import json
import sys

import pytest

from kvstore.base import log


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_is_json_with_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure("prog")
    log.get_logger("part").warning("went wrong", number=3)
    found = json.loads(stream.getvalue())
    assert (found["event"], found["component"], found["number"]) == ("went wrong", "part", 3)
    assert (found["level"], found["program"]) == ("warning", "prog")


@pytest.mark.parametrize("stream", [io.StringIO(), Full()], ids=["closed", "full"])
def test_a_stream_that_takes_no_line_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure("prog", level="error")
    if not isinstance(stream, Full):
        stream.close()
    log.get_logger("part").error("went wrong")
