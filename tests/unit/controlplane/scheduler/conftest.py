"""A handle for plugins without a server behind it."""

import pytest

from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.client.rest import RestClient
from controlplane.client.transport import HttpTransport
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.waiting import WaitingPods
from kvstore.base.clock import ManualClock


@pytest.fixture
def handle() -> Handle:
    clock = ManualClock()
    client = RestClient(HttpTransport(["http://127.0.0.1:1"], clock))
    recorder = EventRecorder(client, "test", clock)
    return Handle(client, lambda resource: Indexer(), tuple, recorder, WaitingPods(clock), clock)
