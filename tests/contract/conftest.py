"""What the comparisons with a real etcd share: random calls, and the two servers that get them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """A module beside: test folders are no packages, so it cannot simply be imported."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def random_calls() -> ModuleType:
    """random_calls.py."""
    return load("random_calls")


@pytest.fixture(scope="session")
def side_by_side() -> ModuleType:
    """side_by_side.py."""
    return load("side_by_side")
