"""A flood of connections takes no member down: it keeps descriptors for its log and its peers, and serves on."""

import contextlib
import resource
import socket
import time

import pytest

from kvstore.client.blocking import SyncClient

pytestmark = pytest.mark.e2e

_LIMIT = 256


@contextlib.contextmanager
def flood(port, count):
    """Idle connections, reopened by nobody."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.settimeout(5)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", port))
        yield


@pytest.fixture
def few(programs, member):
    """Starts a member that may open few files; (member, client port, peer port)."""

    def start():
        client, peer = programs.free_ports(2)
        one = member(
            "--listen-client-urls", f"http://127.0.0.1:{client}",
            "--advertise-client-urls", f"http://127.0.0.1:{client}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        one.start().ready()
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (_LIMIT, _LIMIT))
        return one, client, peer

    return start


@pytest.mark.parametrize("target", ["clients", "peers"])
def test_idle_connections_do_not_end_a_member(few, target):
    one, client_port, peer_port = few()
    with SyncClient([f"127.0.0.1:{client_port}"]) as client:
        client.put("before", "1")
        with flood(client_port if target == "clients" else peer_port, 400):
            # Who was there before is served, and newcomers are too once the silent ones have had their moment.
            client.put("a", "1")
            time.sleep(1.1)
            with SyncClient([f"127.0.0.1:{client_port}"]) as newcomer:
                newcomer.put("b", "2")
                # A new segment, snapshot or certificate can still be opened.
                assert newcomer.get("a").kvs[0].value == b"1"
        assert one.process.poll() is None
        assert bool(one.said("connections are refused: the limit of open files is near")) == (
            target == "clients"
        )
        client.put("c", "3")
    assert one.stop() == 0
