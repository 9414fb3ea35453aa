"""Snapshots of a live cluster, restored into a new one; quota, alarms, defragmentation; all through etcdctl."""

import hashlib
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from kvstore.restore import RestoreError, restore, snapshot_status

pytestmark = pytest.mark.e2e

NAMES = ("s0", "s1", "s2")


@pytest.fixture
def etcdctl(programs):
    if not programs.has_etcdctl():
        pytest.skip("needs etcdctl (etcd-client)")
    return programs.Etcdctl


def cluster(programs, member, folder, *more, names=NAMES, initial=True):
    """Running members by name, their client URLs, and their peer URLs."""
    ports = programs.free_ports(2 * len(names))
    peers = {n: f"http://127.0.0.1:{ports[i]}" for i, n in enumerate(names)}
    clients = {n: f"http://127.0.0.1:{ports[len(names) + i]}" for i, n in enumerate(names)}

    def make(name):
        flags = [
            "--name", name, "--data-dir", str(folder / name),
            "--listen-client-urls", clients[name], "--advertise-client-urls", clients[name],
            "--listen-peer-urls", peers[name], *more,
        ]  # fmt: skip
        if initial:
            flags += [
                "--initial-advertise-peer-urls", peers[name],
                "--initial-cluster", ",".join(f"{n}={u}" for n, u in peers.items()),
            ]  # fmt: skip
        return member(*flags)

    return make, clients, peers


def ready(make, names=NAMES):
    members = {name: make(name).start() for name in names}
    for one in members.values():
        one.ready()
    return members


def hashes(ctl):
    found = ctl.json("endpoint", "hashkv", "--cluster")
    return {(one["HashKV"]["hash"], one["HashKV"]["compact_revision"]) for one in found}


def test_a_snapshot_taken_under_load_is_restored_into_a_new_cluster(
    programs, member, etcdctl, tmp_path
):
    make, clients, _ = cluster(programs, member, tmp_path / "old", "--snapshot-count=20")
    members = ready(make)
    ctl = etcdctl(*clients.values())
    lease = re.search(r"lease (\w+) granted", ctl.ok("lease", "grant", "3600"))[1]
    for number in range(10):
        ctl.ok("put", f"before{number}", "v" * number)
    ctl.ok("put", "leased", "1", f"--lease={lease}")
    ctl.ok("del", "before3")
    stop = threading.Event()

    def load():
        number = 0
        while not stop.is_set():
            ctl.run("put", f"during{number % 7}", "x" * 200)
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    file = tmp_path / "saved.db"
    try:
        one = etcdctl(clients["s1"])
        saved = one.ok("snapshot", "save", str(file))
    finally:
        stop.set()
        thread.join()
    assert "Snapshot saved" in saved or f"Snapshot saved at {file}" in saved
    data = file.read_bytes()
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    hash_, revision, total_keys, size = snapshot_status(file)
    assert (hash_ > 0, revision >= 13, total_keys >= 12, size) == (
        True,
        True,
        True,
        len(data) - 32,
    )
    # A member's own files tell too, while it runs.
    own = tmp_path / "old" / "s0" / "snapshots"
    programs.wait_for(lambda: ctl.ok("put", "more", "") and list(own.glob("*.snap")), "snapshot")
    assert snapshot_status(tmp_path / "old" / "s0").revision > 1
    old_ids = {one["ID"] for one in ctl.json("member", "list")["members"]}
    for one in members.values():
        one.process.kill()
        one.process.wait()

    make, clients, peers = cluster(programs, member, tmp_path / "new", initial=False)
    for name in NAMES:
        restore(
            file,
            tmp_path / "new" / name,
            name=name,
            initial_cluster={n: [u] for n, u in peers.items()},
            token="restored",
            peer_urls=[peers[name]],
        )
    members = ready(make)
    ctl = etcdctl(*clients.values())
    listed = ctl.json("member", "list")["members"]
    assert sorted(one["name"] for one in listed) == list(NAMES)
    assert not old_ids & {one["ID"] for one in listed}
    assert len(hashes(ctl)) == 1
    kept = ctl.json("get", "before5")
    assert kept["header"]["revision"] == revision
    assert kept["kvs"][0]["mod_revision"] == 7
    assert ctl.json("get", "before3").get("count") is None
    assert "leased" in ctl.ok("lease", "timetolive", lease, "--keys")
    # The past is there too, and the future goes on.
    assert ctl.ok("get", "before3", "--rev=8", "--print-value-only") == "vvv\n"
    assert ctl.json("put", "after", "1")["header"]["revision"] == revision + 1
    # A member that lost its data comes back from the others, with the new cluster's flags.
    members["s2"].process.kill()
    members["s2"].process.wait()
    shutil.rmtree(tmp_path / "new" / "s2" / "snapshots")
    shutil.rmtree(tmp_path / "new" / "s2" / "log")
    members["s2"].start().ready()
    assert len(hashes(ctl)) == 1


def test_etcdctl_of_etcd_3_5_saves_too(programs, member, tmp_path):
    binary = Path(os.environ.get("ETCD35", "/nonexistent")) / "etcdctl"
    if not binary.exists():
        pytest.skip("needs $ETCD35 with etcdctl 3.5")
    make, clients, _ = cluster(programs, member, tmp_path, names=("s0",))
    ready(make, ("s0",))
    subprocess.run([binary, "--endpoints", clients["s0"], "put", "a", "1"], check=True, timeout=20)
    file = tmp_path / "saved.db"
    subprocess.run(
        [binary, "--endpoints", clients["s0"], "snapshot", "save", file], check=True, timeout=20
    )
    assert snapshot_status(file).revision == 2


def test_damaged_and_foreign_files_are_refused_and_nothing_is_left(
    programs, member, etcdctl, tmp_path
):
    make, clients, _ = cluster(programs, member, tmp_path, names=("s0",))
    ready(make, ("s0",))
    ctl = etcdctl(clients["s0"])
    ctl.ok("put", "a", "value")
    file = tmp_path / "saved.db"
    ctl.ok("snapshot", "save", str(file))
    data = file.read_bytes()
    flipped = bytearray(data)
    flipped[data.index(b"value")] ^= 1
    for bad, restoring, looking in (
        (bytes(flipped), "expected sha256", "expected sha256"),
        (data[:-100], "snapshot missing hash", "cut off"),
        (b"", "snapshot missing hash", "it is empty"),
        (b"x" * 5000, "snapshot missing hash", "no magic number"),
    ):
        file.write_bytes(bad)
        with pytest.raises(RestoreError, match=restoring):
            restore(file, tmp_path / "r")
        with pytest.raises(RestoreError, match=looking):
            snapshot_status(file)
    assert not (tmp_path / "r").exists()
    file.write_bytes(data[:-32])
    with pytest.raises(RestoreError, match="snapshot missing hash"):
        restore(file, tmp_path / "r")
    # etcd tells the status of a file that was copied from a data folder, and restores it when told to.
    assert snapshot_status(file).revision == 2
    restore(file, tmp_path / "r", skip_hash_check=True)
    with pytest.raises(RestoreError, match="not empty"):
        restore(file, tmp_path / "r", skip_hash_check=True)
    with pytest.raises(RestoreError, match="couldn't find local name"):
        restore(file, tmp_path / "q", name="x", initial_cluster={"y": ["http://127.0.0.1:1"]})
    with pytest.raises(RestoreError, match="No such file"):
        snapshot_status(tmp_path / "nothing")


def test_quota_alarm_and_recovery(programs, member, etcdctl, tmp_path):
    make, clients, _ = cluster(
        programs, member, tmp_path, "--quota-backend-bytes=50000", names=("s0",)
    )
    (one,) = ready(make, ("s0",)).values()
    ctl = etcdctl(clients["s0"])
    full = "etcdserver: mvcc: database space exceeded"
    revision = 0
    for number in range(20):
        done = ctl.run("put", "big", "x" * 5000)
        if done.returncode:
            assert full in done.stderr
            break
        revision = number + 2
    else:
        pytest.fail("the quota was never reached")
    assert "alarm:NOSPACE" in ctl.ok("alarm", "list")
    assert "NOSPACE" in str(ctl.json("endpoint", "status")[0]["Status"]["errors"])
    assert full in ctl.run("lease", "grant", "100").stderr
    transaction = subprocess.run(
        [*ctl.arguments, "txn"],
        input="\n\nput a b\n\n\n",
        capture_output=True,
        text=True,
        timeout=20,
        env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
    )
    assert full in transaction.stderr + transaction.stdout
    # It stays after a restart; reads, deletes, compaction and defragmentation go on.
    one.process.kill()
    one.process.wait()
    one.start().ready()
    assert "alarm:NOSPACE" in ctl.ok("alarm", "list")
    assert ctl.ok("get", "big", "--print-value-only") == "x" * 5000 + "\n"
    assert ctl.ok("del", "big") == "1\n"
    ctl.ok("compact", str(revision + 1))
    ctl.ok("defrag")
    assert ctl.json("endpoint", "status")[0]["Status"].get("dbSizeInUse", 0) < 5000
    assert full in ctl.run("put", "a", "1").stderr
    assert "alarm:NOSPACE" in ctl.ok("alarm", "disarm")
    assert ctl.ok("alarm", "list") == ""
    assert ctl.ok("put", "a", "1") == "OK\n"


def test_a_full_disk_stops_growth_not_reading_and_heals(programs, member, etcdctl, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", mount], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs to be allowed to mount a tmpfs")
    try:
        make, clients, _ = cluster(programs, member, mount, names=("s0",))
        (one,) = ready(make, ("s0",)).values()
        ctl = etcdctl(clients["s0"])
        ctl.ok("put", "a", "1")
        ballast = mount / "ballast"
        with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):  # noqa: PT012
            while True:
                file.write(b"x" * 65536)
                file.flush()
        refused = "etcdserver: mvcc: database space exceeded"
        programs.wait_for(lambda: refused in ctl.run("put", "b", "x" * 1000).stderr, "refusal")
        programs.wait_for(lambda: "NOSPACE" in ctl.ok("alarm", "list"), "alarm")
        # Reading goes on, and so does what frees space; the member lives.
        assert ctl.ok("get", "a", "--print-value-only") == "1\n"
        assert ctl.ok("del", "a") == "1\n"
        ballast.unlink()
        programs.wait_for(lambda: ctl.run("put", "b", "2").returncode == 0, "space again")
        assert ctl.ok("alarm", "list") == ""
        one.process.kill()
        one.process.wait()
        one.start().ready()
        assert ctl.ok("get", "b", "--print-value-only") == "2\n"
        assert ctl.ok("get", "a") == ""
        one.stop()
    finally:
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


def test_files_that_may_not_grow_stop_writing_not_reading(programs, member, etcdctl, tmp_path):
    """The limit of the process's own files (RLIMIT_FSIZE) in place of a full disk, for three members."""
    make, clients, _ = cluster(programs, member, tmp_path, "--snapshot-count=100000")
    members = ready(make)
    ctl = etcdctl(*clients.values())
    ctl.ok("put", "a", "1")
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("needs prlimit (util-linux)")
    for one in members.values():
        subprocess.run(
            [prlimit, "--pid", str(one.process.pid), "--fsize=4096:unlimited"], check=True
        )
    refused = "etcdserver: mvcc: database space exceeded"
    quick = programs.Etcdctl(*clients.values(), flags=["--command-timeout=1s"])
    programs.wait_for(lambda: refused in quick.run("put", "b", "x" * 1000).stderr, "refusal")
    assert ctl.ok("get", "a", "--print-value-only") == "1\n"
    assert all(one.process.poll() is None for one in members.values())
    for one in members.values():
        subprocess.run([prlimit, "--pid", str(one.process.pid), "--fsize=unlimited"], check=True)
    programs.wait_for(lambda: ctl.run("put", "b", "2").returncode == 0, "space again")
    assert len(hashes(ctl)) == 1
