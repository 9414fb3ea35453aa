"""`kvstore` in the place of `etcd`: started as launchers do, refusing what etcd refuses, leaving in order."""

import contextlib
import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.local.certificates import CertificateAuthority

pytestmark = pytest.mark.e2e


@pytest.fixture
def etcdctl(programs):
    if not programs.has_etcdctl():
        pytest.skip("needs etcdctl (etcd-client)")
    return programs.Etcdctl


def static(programs, scheme="http", extra=lambda _name: ()):
    """Flags of three members as the etcd documentation bootstraps them, by name, and client URLs."""
    ports = programs.free_ports(6)
    names = ["infra0", "infra1", "infra2"]
    peers = {n: f"{scheme}://127.0.0.1:{ports[i]}" for i, n in enumerate(names)}
    clients = {n: f"{scheme}://127.0.0.1:{ports[3 + i]}" for i, n in enumerate(names)}
    flags = {
        name: [
            "--name", name,
            "--initial-advertise-peer-urls", peers[name],
            "--listen-peer-urls", peers[name],
            "--listen-client-urls", clients[name],
            "--advertise-client-urls", clients[name],
            "--initial-cluster-token", "etcd-cluster-1",
            "--initial-cluster", ",".join(f"{n}={u}" for n, u in peers.items()),
            "--initial-cluster-state", "new",
            *extra(name),
        ]
        for name in names
    }  # fmt: skip
    return flags, clients


def single(programs, *more):
    client, peer = (f"http://127.0.0.1:{port}" for port in programs.free_ports(2))
    flags = [
        "--listen-client-urls", client,
        "--advertise-client-urls", client,
        "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"default={peer}",
        *more,
    ]  # fmt: skip
    return flags, client


def test_three_members_as_in_etcds_documentation(programs, member, etcdctl):
    flags, clients = static(programs)
    members = {name: member(*flags[name]).start() for name in flags}
    for one in members.values():
        one.ready()
    ctl = etcdctl(*clients.values())
    assert ctl.ok("put", "a", "1") == "OK\n"
    listed = ctl.json("member", "list")
    assert sorted(one["name"] for one in listed["members"]) == sorted(flags)
    assert sorted(one["clientURLs"][0] for one in listed["members"]) == sorted(clients.values())
    # The documentation's way back: the same command line again. The leader hands over on its way out.
    leader = next(
        one["Endpoint"]
        for one in ctl.json("endpoint", "status")
        if one["Status"]["header"]["member_id"] == one["Status"]["leader"]
    )
    name = next(name for name, url in clients.items() if url == leader)
    assert members[name].stop() == 0
    rest = etcdctl(*(url for one, url in clients.items() if one != name))
    assert rest.ok("get", "a", "--print-value-only") == "1\n"
    members[name].start().ready()
    assert etcdctl(leader).ok("get", "a", "--print-value-only") == "1\n"


def test_three_members_with_certificates_as_in_etcds_documentation(
    programs, member, etcdctl, tmp_path
):
    now = datetime.datetime.now(datetime.UTC)
    authority = CertificateAuthority(tmp_path / "pki", now)
    ids = {
        name: authority.identity(name, "member", hosts=("localhost", "127.0.0.1"), server=True)
        for name in ("infra0", "infra1", "infra2", "client")
    }

    def tls(name):
        one = ids[name]
        return [
            "--client-cert-auth", "--trusted-ca-file", str(one.ca_file),
            "--cert-file", str(one.cert_file), "--key-file", str(one.key_file),
            "--peer-client-cert-auth", "--peer-trusted-ca-file", str(one.ca_file),
            "--peer-cert-file", str(one.cert_file), "--peer-key-file", str(one.key_file),
            "--peer-cert-allowed-cn", "member", "--tls-min-version", "TLS1.2",
            "--cipher-suites",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        ]  # fmt: skip

    flags, clients = static(programs, "https", tls)
    for one in [member(*flags[name]).start() for name in flags]:
        one.ready()
        wait = "serving client traffic securely"
        programs.wait_for(lambda one=one: one.said(wait), wait)  # noqa: B023
    own = ids["client"]
    files = ["--cacert", str(own.ca_file), "--cert", str(own.cert_file), "--key", str(own.key_file)]
    assert etcdctl(*clients.values(), flags=files).ok("put", "a", "1") == "OK\n"
    stranger = etcdctl(*clients.values(), flags=["--cacert", str(own.ca_file)])
    assert stranger.run("--dial-timeout=1s", "--command-timeout=2s", "get", "a").returncode != 0


def test_members_make_their_own_certificates(programs, member, etcdctl):
    flags, clients = static(programs, "https", lambda _: ["--auto-tls", "--peer-auto-tls"])
    for one in [member(*flags[name]).start() for name in flags]:
        one.ready()
    ctl = etcdctl(
        *clients.values(), flags=["--insecure-skip-tls-verify", "--insecure-transport=false"]
    )
    assert ctl.ok("put", "a", "1") == "OK\n"


def test_default_data_directory_unix_socket_and_environment(programs, member, etcdctl, tmp_path):
    flags, client = single(programs)
    flags[1] += f",unix://{tmp_path}/s"
    environ = {"ETCD_LISTEN_CLIENT_URLS": flags[1], "ETCD_ADVERTISE_CLIENT_URLS": client}
    one = member(*flags[4:], "--enable-v2=true", env=environ).start().ready()
    assert (tmp_path / "default.etcd" / "log").is_dir()
    assert etcdctl(client).ok("put", "a", "1") == "OK\n"
    assert etcdctl(f"unix:///{tmp_path}/s").ok("get", "a", "--print-value-only") == "1\n"
    assert sum("enable-v2" in str(line["msg"]) for line in one.lines()) == 1


def test_everything_from_etcds_config_file(programs, member, etcdctl, tmp_path):
    client, peer = (f"http://127.0.0.1:{port}" for port in programs.free_ports(2))
    (tmp_path / "etcd.conf.yml").write_text(
        f"name: f\ndata-dir: {tmp_path}/data\nlisten-client-urls: {client}\n"
        f"advertise-client-urls: {client}\nlisten-peer-urls: {peer}\n"
        f"initial-advertise-peer-urls: {peer}\ninitial-cluster: f={peer}\n"
        f"wal-dir: {tmp_path}/wal\nlog-outputs: [stderr, {tmp_path}/file.log]\n"
    )
    one = member("--config-file", "etcd.conf.yml", "--name", "ignored").start().ready()
    assert etcdctl(client).json("member", "list")["members"][0]["name"] == "f"
    assert list((tmp_path / "wal").glob("*.log"))
    assert one.said("ready to serve client requests") is not None
    assert "ready to serve client requests" in (tmp_path / "file.log").read_text()


def kvstore(*argv, **environ):
    return subprocess.run(
        [sys.executable, "-m", "kvstore", *argv],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environ},
    )


def test_version_help_and_exit_codes():
    version = kvstore("--version")
    assert version.returncode == 0
    lines = version.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "etcd Version",
        "Git SHA",
        "Go Version",
        "Go OS/Arch",
    ]
    assert lines[0].startswith("etcd Version: 3.5.")
    assert "--initial-cluster-token 'etcd-cluster'" in kvstore("--help").stdout
    refused = kvstore("--bogus")
    assert refused.returncode == 2
    assert refused.stderr.startswith("flag provided but not defined: -bogus\nUsage:\n")
    wrong = kvstore("--name=x", "--initial-cluster=a=http://localhost:2380")
    assert wrong.returncode == 1
    assert 'couldn\'t find local name \\"x\\"' in wrong.stderr


def test_systemd_is_told_when_it_serves_and_when_it_stops(programs, member, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        flags, _ = single(programs)
        one = member(*flags, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}).start()
        assert listening.recv(100) == b"READY=1"
        one.ready()
        assert one.stop(signal.SIGINT) == 0
        assert listening.recv(100) == b"STOPPING=1"
    assert one.said("received signal; shutting down") is not None
    assert one.said("closed etcd server") is not None


def failed(one):
    assert one.exit_code() == 1, one.log.read_text()
    line = one.said("failed to start etcd")
    assert line is not None, one.log.read_text()
    return str(line["error"])


def test_a_taken_port_is_named(programs, member):
    flags, client = single(programs)
    with socket.create_server(("127.0.0.1", int(client.rpartition(":")[2]))):
        told = failed(member(*flags).start())
    assert client.removeprefix("http://") in told
    assert "in use" in told


def test_a_data_directory_is_used_by_one_member_at_a_time(programs, member, tmp_path):
    flags, _ = single(programs, "--data-dir", str(tmp_path / "d"))
    first = member(*flags).start().ready()
    other, _ = single(programs, "--data-dir", str(tmp_path / "d"))
    assert f"in use by another member (pid {first.process.pid})" in failed(member(*other).start())


def test_a_data_directory_of_another_cluster_is_refused_and_of_the_same_one_is_not(
    programs, member, etcdctl, tmp_path
):
    flags, client = single(programs, "--data-dir", str(tmp_path / "d"))
    member(*flags).start().ready().stop()
    peer = f"http://127.0.0.1:{programs.free_ports(1)[0]}"
    stranger = [
        "--name=x", f"--initial-cluster=x={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--listen-peer-urls={peer}", *flags[:4], "--data-dir", str(tmp_path / "d"),
    ]  # fmt: skip
    told = failed(member(*stranger).start())
    assert "belongs to member 'default'" in told
    # As with etcd: a directory that was used before needs no --initial-cluster, and wins over it.
    again = [*flags[:4], "--listen-peer-urls", flags[5], "--data-dir", str(tmp_path / "d")]
    member(*again).start().ready()
    assert etcdctl(client).json("member", "list")["members"][0]["peerURLs"] == [flags[5]]


def test_a_torn_end_of_the_log_is_cut_and_other_damage_is_refused(
    programs, member, etcdctl, tmp_path
):
    flags, client = single(programs, "--data-dir", str(tmp_path / "d"))
    one = member(*flags).start().ready()
    ctl = etcdctl(client)
    for number in range(5):
        ctl.ok("put", f"k{number}", "v" * 100)
    one.process.kill()
    one.process.wait()
    (log,) = (tmp_path / "d" / "log").glob("*.log")
    data = bytearray(log.read_bytes())
    # A record of a group that never became durable: its head is there, its body is not.
    end = len(data.rstrip(b"\0")) + 8 & ~7
    log.write_bytes(data[:end] + b"QRr\x01" + b"\x55" * 20 + data[end + 24 :])
    one.start().ready()
    assert ctl.ok("get", "k4", "--print-value-only") == "v" * 100 + "\n"
    one.process.kill()
    one.process.wait()
    data = bytearray(log.read_bytes())
    at = data.index(b"k2")
    data[at] ^= 1
    log.write_bytes(data)
    told = failed(one.start())
    assert str(log) in told
    assert "at offset " in told
    assert "move this member's data directory away" in told


def test_a_wiped_member_rejoins_and_a_lone_survivor_goes_on_by_force(
    programs, member, etcdctl, tmp_path
):
    import shutil

    flags, clients = static(programs)
    members = {name: member(*flags[name]).start() for name in flags}
    for one in members.values():
        one.ready()
    ctl = etcdctl(*clients.values())
    ctl.ok("put", "a", "1")
    members["infra1"].process.kill()
    members["infra1"].process.wait()
    shutil.rmtree(tmp_path / "infra1.etcd")
    members["infra1"].start("--initial-cluster-state=existing").ready()
    wiped = etcdctl(clients["infra1"])
    assert wiped.ok("get", "a", "--print-value-only", "--consistency=s") == "1\n"
    for name in ("infra0", "infra2"):
        members[name].process.kill()
        members[name].process.wait()
    members["infra1"].stop()
    members["infra1"].start("--force-new-cluster").ready()
    assert wiped.ok("get", "a", "--print-value-only") == "1\n"
    assert len(wiped.json("member", "list")["members"]) == 1
    # And for good: the next start needs no force.
    members["infra1"].stop()
    members["infra1"].start().ready()
    assert wiped.ok("put", "b", "2") == "OK\n"


def test_peer_urls_can_be_updated(programs, member, etcdctl, tmp_path):
    flags, clients = static(programs)
    members = {name: member(*flags[name]).start() for name in flags}
    for one in members.values():
        one.ready()
    ctl = etcdctl(*clients.values())
    moved = f"http://127.0.0.1:{programs.free_ports(1)[0]}"
    listed = ctl.json("member", "list")["members"]
    found = next(one for one in listed if one["name"] == "infra1")
    ctl.ok("member", "update", f"{found['ID']:x}", f"--peer-urls={moved}")
    members["infra1"].stop()
    words = members["infra1"].flags
    words[words.index("--listen-peer-urls") + 1] = moved
    members["infra1"].start().ready()
    ctl.ok("put", "a", "1")
    alone = etcdctl(clients["infra1"])
    assert alone.ok("get", "a", "--print-value-only") == "1\n"
    assert moved in str(alone.json("member", "list"))


def test_a_second_signal_ends_it_at_once(programs, member):
    flags, _ = static(programs)
    # Alone of three it has nobody to hand over to, and no quorum.
    one = member(*flags["infra0"]).start()
    programs.wait_for(lambda: one.said("now serving peer/client/metrics"), "serving")
    one.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        one.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert one.exit_code() in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 10


def test_unusable_files_are_named(programs, member, tmp_path):
    flags, _ = single(programs, "--cert-file", "/nope", "--key-file", "/nope")
    one = member(*flags).start()
    assert one.exit_code() == 1
    assert "open /nope: no such file or directory" in one.log.read_text()
    (tmp_path / "file").write_text("")
    flags, _ = single(programs, "--data-dir", str(tmp_path / "file"))
    assert "--data-dir: cannot use" in failed(member(*flags).start())
    assert Path(tmp_path / "file").read_text() == ""
