"""Every file of the scheduler's plugins stands in the registry once, under the name its plugin says."""

from pathlib import Path

import pytest

import controlplane.scheduler.plugins
from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.client.rest import RestClient
from controlplane.client.transport import HttpTransport
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.plugins.registry import REGISTRY
from kvstore.base.clock import ManualClock

ROOT = Path(controlplane.scheduler.plugins.__path__[0])
FILES = sorted(path.stem for path in ROOT.glob("*.py") if path.stem not in ("__init__", "registry"))


def _built() -> dict[str, object]:
    clock = ManualClock()
    client = RestClient(HttpTransport(["http://127.0.0.1:1"], clock))
    recorder = EventRecorder(client, "test", clock)
    handle = Handle(client, lambda resource: Indexer(), tuple, recorder, WaitingPods(clock), clock)
    return {name: entry.build(handle, {}) for name, entry in REGISTRY.items()}


def test_names_are_those_the_plugins_say() -> None:
    assert {name: plugin.name for name, plugin in _built().items()} == {n: n for n in REGISTRY}


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_registered_once(file: str) -> None:
    modules = [type(plugin).__module__.rpartition(".")[2] for plugin in _built().values()]
    assert modules.count(file) == 1
