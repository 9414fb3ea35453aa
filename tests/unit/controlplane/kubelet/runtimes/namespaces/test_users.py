"""Maps of user namespaces."""

from pathlib import Path

import pytest

from controlplane.kubelet.runtimes.namespaces.users import Maps, _subordinate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("other:1:2\nme:100000:65536\n", (100000, 65535)),
        ("1000:5:10\n", (5, 10)),
        ("me:x:10\n", None),
        ("", None),
    ],
)
def test_subordinate_ranges(tmp_path: Path, text: str, expected: tuple[int, int] | None) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    assert _subordinate(str(file), "me", 1000) == expected
    assert _subordinate(str(tmp_path / "none"), "me", 1000) is None


def test_who_is_inside() -> None:
    maps = Maps(((0, 1000, 1), (1, 100000, 999)), ((0, 1000, 1),))
    assert maps.holds(0, 0)
    assert not maps.holds(999, 1)
    assert not maps.holds(1000, 0)
