"""Kubeconfig files and the event recorder."""

import base64

import pytest

from controlplane.client.events import QUEUE_LIMIT, EventRecorder
from controlplane.client.kubeconfig import KubeconfigError, load_kubeconfig
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor

TEXT = """
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", CA}}]
users: [{name: u, user: {USER}}]
"""


def test_inline_data_and_files(tmp_path):
    (tmp_path / "key.pem").write_bytes(b"KEY")
    inline = base64.b64encode(b"CERT").decode()
    text = TEXT.replace("CA", f"certificate-authority-data: {inline}").replace(
        "USER", f"client-certificate-data: {inline}, client-key: key.pem"
    )
    file = tmp_path / "config"
    file.write_text(text)
    config = load_kubeconfig(file)
    assert config.server == "https://127.0.0.1:1"
    assert (config.tls.ca_pem, config.tls.cert_pem, config.tls.key_pem) == (
        b"CERT",
        b"CERT",
        b"KEY",
    )


@pytest.mark.parametrize(
    ("user", "wrong"),
    [
        ("exec: {command: x}", "exec is not supported"),
        ("client-key: missing.pem", "client-key"),
        ("client-key-data: '%%%'", "not base64"),
    ],
)
def test_refusals_say_where(tmp_path, user, wrong):
    file = tmp_path / "config"
    file.write_text(TEXT.replace(", CA", "").replace("USER", user))
    with pytest.raises(KubeconfigError, match=wrong):
        load_kubeconfig(file)


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "1"}}


@pytest.fixture
async def recording():
    clock = ManualClock()
    api = await InProcessServer(clock=clock).__aenter__()
    await api.client().create(NAMESPACES, {"metadata": {"name": "d"}})
    recorder = EventRecorder(api.client(), "tester", clock)
    supervisor = Supervisor("events")
    supervisor.start(recorder.run(), "run")
    yield clock, api, recorder
    await supervisor.stop()
    await api.__aexit__(None, None, None)


async def test_repeats_become_a_count(recording):
    clock, api, recorder = recording
    for _ in range(5):
        recorder.event(POD, "Warning", "Odd", "it is odd")
        await clock.advance(1)
    recorder.event(POD, "Warning", "Odd", "it is even")
    await recorder.drain()
    found = {e["message"]: e["count"] for e in api.objects(EVENTS)}
    assert found == {"it is odd": 5, "it is even": 1}
    first = next(e for e in api.objects(EVENTS) if e["count"] == 5)
    assert first["firstTimestamp"] < first["lastTimestamp"]
    assert first["involvedObject"]["uid"] == "1"


async def test_a_noisy_object_is_cut_off_others_are_not(recording):
    clock, api, recorder = recording
    other = {**POD, "metadata": {**POD["metadata"], "uid": "2"}}
    for number in range(100):
        recorder.event(POD, "Normal", "Noise", str(number))
    recorder.event(other, "Normal", "Calm", "x")
    await recorder.drain()
    assert len(api.objects(EVENTS)) == 26
    assert recorder.dropped == 75
    await clock.advance(301)
    recorder.event(POD, "Normal", "Noise", "again")
    await recorder.drain()
    assert len(api.objects(EVENTS)) == 27


async def test_a_full_queue_drops_and_never_blocks():
    clock = ManualClock()
    recorder = EventRecorder(InProcessServer(clock=clock).client(), "tester", clock)
    for number in range(QUEUE_LIMIT + 10):
        recorder.event({**POD, "metadata": {"name": "p", "uid": str(number)}}, "Normal", "R", "m")
    assert recorder.dropped == 10


async def test_an_expired_event_is_written_anew(recording):
    _clock, api, recorder = recording
    recorder.event(POD, "Normal", "R", "m")
    await recorder.drain()
    api.remove(EVENTS, api.objects(EVENTS)[0]["metadata"]["name"], "d")
    recorder.event(POD, "Normal", "R", "m")
    await recorder.drain()
    assert len(api.objects(EVENTS)) == 1


async def test_an_unreachable_server_costs_events_not_the_recorder(recording):
    _clock, api, recorder = recording
    api.down = True
    recorder.event(POD, "Normal", "R", "lost")
    await recorder.drain()
    api.down = False
    recorder.event(POD, "Normal", "R", "kept")
    await recorder.drain()
    assert [e["message"] for e in api.objects(EVENTS)] == ["kept"]
