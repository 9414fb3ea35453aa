"""Members that come and go on real processes, by etcdctl as its documentation says; the cluster goes on meanwhile."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
def etcdctl(programs):
    if not programs.has_etcdctl():
        pytest.skip("needs etcdctl (etcd-client)")
    return programs.Etcdctl


class Machine:
    """Where one member runs, whoever it is in the cluster."""

    def __init__(self, programs, name):
        self.name = name
        self.client, self.peer = (f"http://127.0.0.1:{port}" for port in programs.free_ports(2))

    def flags(self, cluster, state):
        return [
            "--name", self.name,
            "--initial-advertise-peer-urls", self.peer,
            "--listen-peer-urls", self.peer,
            "--listen-client-urls", self.client,
            "--advertise-client-urls", self.client,
            "--initial-cluster", ",".join(f"{one.name}={one.peer}" for one in cluster),
            "--initial-cluster-state", state,
        ]  # fmt: skip


def puts(programs, ctl, key, value):
    """Write; asked again while another member is about to lead, or one has not read yet that it may."""
    programs.wait_for(lambda: ctl.run("put", key, value).returncode == 0, f"{key} is written")


def changed(ctl, *change):
    """Make a change of the members; asked again after an answer that was lost it is there already."""
    done = ctl.run("member", *change)
    already = (
        "member not found",
        "Peer URLs already exists",
        "can only promote a learner member\n",
    )
    return done.returncode == 0 or any(words in done.stderr for words in already)


def has_members(programs, ctl, *names):
    """The members by name; the one that is asked may read of a change a little later."""
    programs.wait_for(lambda: set(ids(ctl)) == set(names), f"the members {names}")


def ids(ctl):
    return {one["name"]: f"{one['ID']:x}" for one in ctl.json("member", "list")["members"]}


def test_one_grows_to_three_and_the_first_leaves(programs, member, etcdctl):
    a, b, c = (Machine(programs, name) for name in "abc")
    first = member(*a.flags([a], "new")).start()
    first.ready()
    ctl = etcdctl(a.client)
    assert ctl.ok("put", "k", "1") == "OK\n"
    added = ctl.ok("member", "add", "b", f"--peer-urls={b.peer}")
    assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in added
    assert f"b={b.peer}" in added
    # One that was added and does not run yet takes nobody's majority.
    puts(programs, ctl, "k", "2")
    second = member(*b.flags([a, b], "existing")).start()
    second.ready()
    assert etcdctl(b.client).ok("get", "k", "--print-value-only") == "2\n"
    has_members(programs, ctl, "a", "b")
    programs.wait_for(lambda: changed(ctl, "add", "c", f"--peer-urls={c.peer}"), "c added")
    third = member(*c.flags([a, b, c], "existing")).start()
    third.ready()
    has_members(programs, ctl, "a", "b", "c")
    removed = ids(ctl)["a"]
    rest = etcdctl(b.client, c.client)
    programs.wait_for(lambda: changed(rest, "remove", removed), "a removed")
    has_members(programs, rest, "b", "c")
    # It learns of it and ends, and does not come back.
    programs.wait_for(lambda: first.process.poll() is not None, "the removed member's end")
    assert "permanently removed" in first.log.read_text()
    puts(programs, rest, "k", "3")
    again = rest.run("member", "remove", removed)
    assert "member not found" in again.stderr
    for one, machine in ((second, b), (third, c)):
        assert one.stop() == 0
        one.start().ready()
        assert etcdctl(machine.client).ok("get", "k", "--print-value-only") == "3\n"
    has_members(programs, rest, "b", "c")


def test_a_copy_of_a_cluster_that_changed_begins_with_its_own_members(
    programs, member, etcdctl, tmp_path
):
    a, b, c = (Machine(programs, name) for name in "abc")
    member(*a.flags([a], "new")).start().ready()
    ctl = etcdctl(a.client)
    ctl.ok("put", "k", "1")
    ctl.ok("member", "add", "b", f"--peer-urls={b.peer}")
    ctl.ok("snapshot", "save", str(tmp_path / "copy"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cli", "kv", "snapshot", "restore", str(tmp_path / "copy")),
            *("--name", "c", "--initial-cluster", f"c={c.peer}"),
            *("--initial-advertise-peer-urls", c.peer, "--data-dir", str(tmp_path / "c")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    member(*c.flags([c], "new"), "--data-dir", str(tmp_path / "c")).start().ready()
    copy = etcdctl(c.client)
    assert copy.ok("get", "k", "--print-value-only") == "1\n"
    assert set(ids(copy)) == {"c"}
    assert copy.ok("put", "k", "2") == "OK\n"


def test_a_member_that_lost_its_disk_is_replaced(programs, member, etcdctl, tmp_path):
    machines = [Machine(programs, name) for name in "abc"]
    running = {one.name: member(*one.flags(machines, "new")).start() for one in machines}
    for one in running.values():
        one.ready()
    a, b, _ = machines
    ctl = etcdctl(a.client, b.client)
    ctl.ok("put", "k", "1")
    running["c"].process.kill()
    running["c"].process.wait()
    lost = ids(ctl)["c"]
    # Gone for good: it is not waited for.
    programs.wait_for(lambda: changed(ctl, "remove", lost), "c removed")
    d = Machine(programs, "d")
    programs.wait_for(lambda: changed(ctl, "add", "d", f"--peer-urls={d.peer}"), "d added")
    member(*d.flags([a, b, d], "existing")).start().ready()
    has_members(programs, ctl, "a", "b", "d")
    # Two of three are enough, the new one among them, once it is counted.
    running["a"].process.kill()
    running["a"].process.wait()
    rest = etcdctl(b.client, d.client)
    programs.wait_for(lambda: rest.run("put", "k", "2").returncode == 0, "a majority with it")
    # The old machine comes back with its disk, and is told.
    again = running["c"].start()
    programs.wait_for(lambda: again.process.poll() is not None, "the old member's end")
    assert "permanently removed" in again.log.read_text()
    assert rest.ok("get", "k", "--print-value-only") == "2\n"


def test_a_learner_follows_and_is_promoted(programs, member, etcdctl):
    a, b = Machine(programs, "a"), Machine(programs, "b")
    member(*a.flags([a], "new")).start().ready()
    ctl = etcdctl(a.client)
    assert ctl.ok("put", "k", "1") == "OK\n"
    assert "Member" in ctl.ok("member", "add", "b", "--learner", f"--peer-urls={b.peer}")
    [learner] = [one for one in ctl.json("member", "list")["members"] if one.get("isLearner")]
    member_id = f"{learner['ID']:x}"
    early = ctl.run("member", "promote", member_id)
    assert "can only promote a learner member which is in sync with leader" in early.stderr
    more = ctl.run("member", "add", "c", "--learner", "--peer-urls=http://127.0.0.1:1")
    assert "too many learner members in cluster" in more.stderr
    member(*b.flags([a, b], "existing")).start()
    of_b = etcdctl(b.client)
    programs.wait_for(
        lambda: of_b.run("get", "k", "--consistency=s", "--print-value-only").stdout == "1\n",
        "the learner's copy",
    )
    assert "rpc not supported for learner" in of_b.run("put", "k", "2").stderr
    programs.wait_for(lambda: changed(ctl, "promote", member_id), "promoted")
    puts(programs, of_b, "k", "2")
    assert "can only promote a learner member" in ctl.run("member", "promote", member_id).stderr


def test_who_was_not_added_does_not_join(programs, member, etcdctl):
    a, b = Machine(programs, "a"), Machine(programs, "b")
    member(*a.flags([a], "new")).start().ready()
    refused = member(*b.flags([a, b], "existing")).start()
    programs.wait_for(lambda: refused.process.poll() is not None, "the stranger's end")
    assert "member count is unequal" in refused.log.read_text()
    assert etcdctl(a.client).ok("put", "k", "1") == "OK\n"
