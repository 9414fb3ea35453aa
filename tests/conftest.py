"""Shared by all tests: loopback only, free ports, real programs where they are installed."""

import shutil
from collections.abc import Callable

import pytest

from kvstore.base.ports import free_port


@pytest.fixture
def port() -> Callable[[], int]:
    """A maker of ports nobody listens on."""
    return free_port


@pytest.fixture
def program() -> Callable[[str], str]:
    """The path of a foreign program; the test is skipped, with a reason, where it is not installed."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed (.ci/run installs it from Debian)")
        return path

    return find
