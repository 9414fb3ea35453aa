"""What a container runs."""

from typing import Any

import pytest

from controlplane.kubelet.containers.command import command_line, expand
from controlplane.kubelet.images.image import Image


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("plain", "plain"), ("$(A", "$(A")],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, ["e", "a"]),
        ({"args": ["b"]}, ["e", "b"]),
        ({"command": ["c"]}, ["c"]),
        ({"command": ["c"], "args": ["$(X)"]}, ["c", "1"]),
        ({"args": ["$(X)", "$$(X)"]}, ["e", "1", "$(X)"]),
    ],
)
def test_command_line(container: dict[str, Any], expected: list[str]) -> None:
    assert command_line(container, Image("i", ("e",), ("a",)), {"X": "1"}) == expected
