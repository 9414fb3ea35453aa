"""Snapshots cross over: ours is read and restored by etcd's own tools, etcd's is restored here."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kvstore.restore import restore, snapshot_status

pytestmark = pytest.mark.e2e


def _tools() -> list[Any]:
    """(etcd, etcdctl, what restores) of each etcd that is here."""
    found = []
    if (etcd := shutil.which("etcd")) and (etcdctl := shutil.which("etcdctl")):
        found.append(pytest.param((etcd, etcdctl, etcdctl), id="installed"))
    folder = Path(os.environ.get("ETCD35", "/nonexistent"))
    if (folder / "etcd").exists():
        tools = tuple(str(folder / name) for name in ("etcd", "etcdctl", "etcdutl"))
        found.append(pytest.param(tools, id="3.5"))
    missing = pytest.param(None, marks=pytest.mark.skip(reason="needs etcd and etcdctl"))
    return found or [missing]


@pytest.fixture(params=_tools())
def tools(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    return request.param  # type: ignore[no-any-return]


def run(*words: str | Path, check: bool = True) -> str:
    done = subprocess.run(
        [str(one) for one in words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


class Store:
    """A store that is running, and etcdctl on it."""

    def __init__(
        self, etcdctl: str, url: str, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self._process = process
        self._words = (etcdctl, "--endpoints", url, "--command-timeout", "30s")

    def __call__(self, *words: str | Path, check: bool = True) -> str:
        return run(*self._words, *words, check=check)

    def stop(self) -> None:
        """End the program in order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def json(self, *words: str, user: str = "") -> Any:
        more = ("--user", user) if user else ()
        return json.loads(run(*self._words, *more, "-w", "json", *words))


def fill(store: Store) -> None:
    """Many keys, deleted and overwritten ones, a compaction, a lease, users and roles; auth goes on last."""
    for number in range(12):
        store("put", f"key{number:04d}", "v" * number * 50)
    for number in range(0, 12, 3):
        store("del", f"key{number:04d}")
    revision = store.json("get", "key0001")["header"]["revision"]
    store("compact", str(revision - 5))
    lease = store("lease", "grant", "3000").split()[1]
    store("put", "leased", "x", "--lease", lease)
    store("put", "key0001", "newer")
    store("del", "key0002")
    store("put", "large", "L" * 20_000)
    store("role", "add", "reader")
    store("role", "grant-permission", "reader", "--prefix=true", "read", "key")
    store("user", "add", "root:rootpw")
    store("user", "grant-role", "root", "root", check=False)
    store("user", "add", "anna:annapw")
    store("user", "grant-role", "anna", "reader")
    store("auth", "enable")


def contents(store: Store) -> dict[str, Any]:
    """All that clients see, without ids of the cluster."""
    root = "root:rootpw"
    newest = store.json("get", "", "--prefix", user=root)
    revision = newest["header"]["revision"]
    found: dict[str, Any] = {"revision": revision, "now": newest["kvs"]}
    # The history since the compaction: as of each revision.
    for back in range(1, 5):
        then = store.json("get", "", "--prefix", f"--rev={revision - back}", user=root)
        found[f"{back} back"] = then["kvs"]
    found["leases"] = sorted(one["id"] for one in store.json("lease", "list", user=root)["leases"])
    found["users"] = store.json("user", "list", user=root)["users"]
    role = store.json("role", "get", "reader", user=root)
    found["permissions"] = role["perm"]
    allowed = store.json("get", "key0001", user="anna:annapw")
    found["anna reads"] = allowed["kvs"][0]["value"]
    return found


def is_serving(etcdctl: str, url: str) -> bool:
    """Whether a read ends well, with or without the need to say who one is."""
    for user in ((), ("--user=root:rootpw",)):
        words = (etcdctl, "--endpoints", url, *user, "get", "any")
        if subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0:
            return True
    return False


@contextmanager
def running_etcd(
    programs: ModuleType, etcd: str, etcdctl: str, folder: Path, data_dir: Path
) -> Iterator[Store]:
    client, peer = (f"http://127.0.0.1:{port}" for port in programs.free_ports(2))
    with (folder / "etcd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(etcd, "--name=e", f"--data-dir={data_dir}", f"--initial-cluster=e={peer}"),
                *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
                *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        store = Store(etcdctl, client, process)
        programs.wait_for(lambda: is_serving(etcdctl, client), "etcd to serve")
        yield store
    finally:
        process.kill()
        process.wait()


def start_ours(
    programs: ModuleType, member: Callable[..., Any], etcdctl: str, data_dir: Path, peer: str
) -> tuple[Any, Store]:
    [port] = programs.free_ports(1)
    client = f"http://127.0.0.1:{port}"
    one = member(
        *("--name=o", f"--data-dir={data_dir}", f"--initial-cluster=o={peer}"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
    )
    one.start().ready()
    return one, Store(etcdctl, client)


def test_etcd_goes_on_with_our_snapshot(
    programs: ModuleType, member: Callable[..., Any], tools: tuple[str, str, str], tmp_path: Path
) -> None:
    etcd, etcdctl, restorer = tools
    [port] = programs.free_ports(1)
    one, ours = start_ours(programs, member, etcdctl, tmp_path / "ours", f"http://127.0.0.1:{port}")
    fill(ours)
    expected = contents(ours)
    file = tmp_path / "ours.db"
    ours("--user=root:rootpw", "snapshot", "save", file)
    one.process.kill()
    told = json.loads(run(restorer, "-w", "json", "snapshot", "status", file))
    status = snapshot_status(file)
    assert told == {
        "hash": status.hash,
        "revision": status.revision,
        "totalKey": status.total_keys,
        "totalSize": status.total_size,
    }
    [peer_port] = programs.free_ports(1)
    run(
        *(restorer, "snapshot", "restore", file, "--data-dir", tmp_path / "etcd", "--name=e"),
        *(f"--initial-cluster=e=http://127.0.0.1:{peer_port}",),
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
    )
    with running_etcd(programs, etcd, etcdctl, tmp_path, tmp_path / "etcd") as theirs:
        assert contents(theirs) == expected
        answer = theirs.json("put", "after", "1", user="root:rootpw")
        assert answer["header"]["revision"] == expected["revision"] + 1
        # There and back: what etcd did since counts, not what ours once wrote beside it.
        back = tmp_path / "back.db"
        theirs("--user=root:rootpw", "snapshot", "save", back)
        expected = contents(theirs)
    peer = f"http://127.0.0.1:{programs.free_ports(1)[0]}"
    restore(back, tmp_path / "again", name="o", peer_urls=[peer])
    _, ours = start_ours(programs, member, etcdctl, tmp_path / "again", peer)
    assert contents(ours) == expected


def test_we_go_on_with_a_snapshot_of_etcd(
    programs: ModuleType, member: Callable[..., Any], tools: tuple[str, str, str], tmp_path: Path
) -> None:
    etcd, etcdctl, restorer = tools
    file = tmp_path / "etcd.db"
    with running_etcd(programs, etcd, etcdctl, tmp_path, tmp_path / "etcd") as theirs:
        fill(theirs)
        expected = contents(theirs)
        theirs("--user=root:rootpw", "snapshot", "save", file)
    told = json.loads(run(restorer, "-w", "json", "snapshot", "status", file))
    assert tuple(snapshot_status(file)) == tuple(
        told[name] for name in ("hash", "revision", "totalKey", "totalSize")
    )
    peer = f"http://127.0.0.1:{programs.free_ports(1)[0]}"
    restore(file, tmp_path / "ours", name="o", peer_urls=[peer])
    _, ours = start_ours(programs, member, etcdctl, tmp_path / "ours", peer)
    assert contents(ours) == expected
    answer = ours.json("put", "after", "1", user="root:rootpw")
    assert answer["header"]["revision"] == expected["revision"] + 1


def test_we_go_on_in_the_folder_of_an_etcd_that_was_alone(
    programs: ModuleType, member: Callable[..., Any], tools: tuple[str, str, str], tmp_path: Path
) -> None:
    etcd, etcdctl, _ = tools
    data_dir = tmp_path / "data"
    with running_etcd(programs, etcd, etcdctl, tmp_path, data_dir) as theirs:
        fill(theirs)
        expected = contents(theirs)
        # While it runs nobody else may have its data.
        peer, client = (f"http://127.0.0.1:{port}" for port in programs.free_ports(2))
        refused = member(
            *(f"--data-dir={data_dir}", f"--initial-cluster=default={peer}"),
            *(f"--initial-advertise-peer-urls={peer}", f"--listen-peer-urls={peer}"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        ).start()
        assert refused.exit_code() == 1
        assert "that etcd still runs" in str(refused.said("failed to start etcd")["error"])
        # A clean end: etcd keeps what it wrote last in its log alone for a tenth of a second.
        theirs.stop()
    [port] = programs.free_ports(1)
    peer = f"http://127.0.0.1:{port}"
    one, ours = start_ours(programs, member, etcdctl, data_dir, peer)
    assert one.said("the data of an etcd was taken in; its own files are used no more")
    assert contents(ours) == expected
    ours("--user=root:rootpw", "put", "more", "1")
    one.stop()
    _, ours = start_ours(programs, member, etcdctl, data_dir, peer)
    assert "more" in ours("--user=root:rootpw", "get", "more")


def test_we_go_on_in_the_folders_that_their_restore_makes(
    programs: ModuleType, member: Callable[..., Any], tools: tuple[str, str, str], tmp_path: Path
) -> None:
    etcd, etcdctl, restorer = tools
    saved = tmp_path / "s.db"
    with running_etcd(programs, etcd, etcdctl, tmp_path, tmp_path / "old") as theirs:
        for number in range(20):
            theirs("put", f"k{number}", "v")
        theirs("snapshot", "save", saved)
    ports = programs.free_ports(6)
    peers = {f"m{n}": f"http://127.0.0.1:{ports[n]}" for n in range(3)}
    clients = {f"m{n}": f"http://127.0.0.1:{ports[n + 3]}" for n in range(3)}
    cluster = ",".join(f"{name}={url}" for name, url in peers.items())
    members = []
    for name, peer in peers.items():
        same = (f"--data-dir={tmp_path / name}", f"--name={name}", f"--initial-cluster={cluster}")
        own = f"--initial-advertise-peer-urls={peer}"
        run(restorer, "snapshot", "restore", saved, *same, own)
        url = clients[name]
        more = (f"--listen-client-urls={url}", f"--advertise-client-urls={url}")
        members.append(member(*same, own, f"--listen-peer-urls={peer}", *more).start())
    for one in members:
        one.ready()
    for url in clients.values():
        assert Store(etcdctl, url).json("get", "", "--prefix", "--keys-only")["count"] == 20
    Store(etcdctl, clients["m1"])("put", "new", "1")
    assert "new" in Store(etcdctl, clients["m2"])("get", "new")


def test_the_folder_of_one_of_several_is_refused_and_the_told_command_takes_it_over(
    programs: ModuleType, member: Callable[..., Any], tools: tuple[str, str, str], tmp_path: Path
) -> None:
    etcd, etcdctl, _ = tools
    data_dir = tmp_path / "data"
    with running_etcd(programs, etcd, etcdctl, tmp_path, data_dir) as theirs:
        theirs("put", "a", "1")
        theirs.stop()
    ports = programs.free_ports(3)
    peer, client, other = (f"http://127.0.0.1:{port}" for port in ports)
    flags = (
        *(f"--data-dir={data_dir}", "--name=o", f"--initial-cluster=o={peer},p={other}"),
        *(f"--initial-advertise-peer-urls={peer}", f"--listen-peer-urls={peer}"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
    )
    refused = member(*flags).start()
    assert refused.exit_code() == 1
    error = str(refused.said("failed to start etcd")["error"])
    assert "which may lack what the others acknowledged" in error
    command = error.partition("all the same: ")[2]
    quorate = f"{shlex.quote(sys.executable)} -m cli"
    run("sh", "-c", command.replace("&& quorate", f"&& {quorate}"))
    again = member(*flags).start()
    programs.wait_for(lambda: again.said("now serving peer/client/metrics"), "it to serve")
    assert "a\n1" in Store(etcdctl, client)("get", "a", "--consistency=s")
