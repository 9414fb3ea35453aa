"""A member that comes back with its disk at another address rejoins, whatever the others still have written down."""

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
def cluster(programs, member, tmp_path):
    """Makes a member by name at ports of its own: (start, current client URLs)."""
    names = ["a", "b", "c"]
    ports = dict(zip(names, zip(*[iter(programs.free_ports(6))] * 2, strict=True), strict=True))

    def start(name):
        all_members = ",".join(f"{n}=http://127.0.0.1:{ports[n][0]}" for n in names)
        peer, client = (f"http://127.0.0.1:{port}" for port in ports[name])
        return member(
            "--name", name, "--data-dir", str(tmp_path / name), "--initial-cluster", all_members,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--listen-client-urls", client, "--advertise-client-urls", client,
        ).start()  # fmt: skip

    return start, ports


def test_whoever_moves_is_back_in_the_cluster(cluster, programs):
    start, ports = cluster
    running = {name: start(name) for name in ports}
    for one in running.values():
        one.ready()
    for name in ports:
        before = ports[name]
        for now in (tuple(programs.free_ports(2)), before):
            assert running[name].stop() == 0
            ports[name] = now
            running[name] = start(name).ready(30)


def test_a_member_that_reaches_nobody_says_whom(cluster, programs):
    start, ports = cluster
    alone = start("a")
    programs.wait_for(lambda: alone.said("too few members are reached for a leader"), "word", 40)
    said = alone.said("too few members are reached for a leader")
    assert {one.partition("@")[2] for one in said["missing"]} == {
        f"127.0.0.1:{ports[name][0]}" for name in ("b", "c")
    }
