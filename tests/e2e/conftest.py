"""Fixtures of the tests that start real members."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    # Test folders are no packages, so a file beside cannot simply be imported.
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def programs() -> ModuleType:
    """The helpers in store_programs.py."""
    return _load("store_programs")


@pytest.fixture(scope="session")
def real_nodes() -> ModuleType:
    """A master and nodes as processes: real_nodes.py."""
    return _load("real_nodes")


@pytest.fixture
def member(programs: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes members, `member(*flags)`; what still runs at the end is killed."""
    made: list[Any] = []

    def make(*flags: str, env: dict[str, str] | None = None) -> Any:
        made.append(programs.Member(tmp_path, flags, env))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()
