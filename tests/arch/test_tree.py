"""What tools lack: the default file is the repository's, every module says what it is, files stay readable."""

import ast
from pathlib import Path

import pytest

from controlplane.local.settings import default_text

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for top in ("kvstore", "controlplane", "cli")
    for path in sorted((ROOT / top).rglob("*.py"))
    if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
]


def test_builtin_default_is_the_repository_cluster_toml() -> None:
    assert default_text() == (ROOT / "cluster.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_has_a_docstring_and_a_readable_length(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(docstring.strip()) >= 20, "a module says what it is for"
    assert text.count("\n") <= 600, "past 400 lines a file is split; 600 is the end"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_package_init_holds_only_a_docstring(path: Path) -> None:
    if path.name == "__init__.py":
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, "meaning, no code"


@pytest.mark.parametrize("top", ["kvstore", "controlplane", "cli"])
def test_unit_tests_lie_as_the_tree_does(top: str) -> None:
    tests = ROOT / "tests" / "unit" / top
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert not [str(one) for one in sorted(folders) if not (ROOT / top / one).is_dir()]


def test_unit_tests_are_of_a_program() -> None:
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if any(path.rglob("*.py"))}
    assert folders == {"kvstore", "controlplane", "cli"}
