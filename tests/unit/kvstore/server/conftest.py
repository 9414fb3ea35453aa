"""Fixtures of the servicers' tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def clients() -> ModuleType:
    """The helpers in watch_clients.py."""
    # Test folders are no packages, so a file beside cannot simply be imported.
    path = Path(__file__).with_name("watch_clients.py")
    spec = importlib.util.spec_from_file_location("watch_clients", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["watch_clients"] = module
    spec.loader.exec_module(module)
    return module
