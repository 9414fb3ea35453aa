"""Two of three members lost their disks while the third was down (etcd#12227): it is refused, in plain words."""

import shutil

import pytest

from kvstore.client.blocking import SyncClient
from kvstore.client.errors import ClientError

pytestmark = pytest.mark.e2e

_REFUSED = (
    "a member has another history of this cluster and is refused: a majority was started on emptied data directories; "
    "stop the side that should not go on and empty its directories"
)


@pytest.fixture
def three(programs, member, tmp_path):
    """(members, client URLs) by name, not started."""
    ports = programs.free_ports(6)
    names = ["a", "b", "c"]
    cluster = ",".join(f"{n}=http://127.0.0.1:{p}" for n, p in zip(names, ports[:3], strict=True))
    clients = {n: f"http://127.0.0.1:{p}" for n, p in zip(names, ports[3:], strict=True)}
    made = {
        name: member(
            "--name", name, "--data-dir", str(tmp_path / name), "--initial-cluster", cluster,
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{port}",
            "--listen-peer-urls", f"http://127.0.0.1:{port}",
            "--listen-client-urls", clients[name], "--advertise-client-urls", clients[name],
        )
        for name, port in zip(names, ports[:3], strict=True)
    }  # fmt: skip
    return made, clients


def test_the_member_with_the_data_is_not_mixed_with_the_others(three, programs, tmp_path):
    members, clients = three
    for one in [one.start() for one in members.values()]:
        one.ready()
    with SyncClient([clients["a"]]) as client:
        for number in range(20):
            client.put(f"first{number}", "1")
    for one in members.values():
        one.stop()
    for name in ("b", "c"):
        shutil.rmtree(tmp_path / name)
    for one in [members[name].start() for name in ("b", "c")]:
        one.ready()
    with SyncClient([clients["b"]]) as client:
        client.put("second", "2")
    members["a"].start()
    for name in members:
        programs.wait_for(lambda name=name: members[name].said(_REFUSED), f"{name} to refuse")
    with SyncClient([clients["a"]], timeout_seconds=1.0) as client, pytest.raises(ClientError):
        client.get("first1")
    with SyncClient([clients["c"]]) as client:
        client.put("third", "3")
        assert client.get("second").kvs
        assert not client.get("first1").kvs
